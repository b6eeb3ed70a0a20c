//! What the tests of the whole share: the real program, started and watched, in networks made for one test.
