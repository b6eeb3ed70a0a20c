# Reads `llvm-objdump --disassemble` and prints each call that leads into a panic:
#
#   site ADDRESS CALLER -> CALLEE
#
# A callee is suspect if it is the panic handler's stand-in, or if it is a function outside this project that calls a
# suspect one. Functions of this project are where the search ends: they are the ones to repair. So are functions whose
# name matches `-v stop=REGEX`: libraries that may panic, whose calls are shown as well.

function ours(name) { return (name ~ /feige|proof_/ || stop != "" && name ~ stop) && name !~ /feige_panic_stand_in/ }

function number(digits, i, value) {
    value = 0
    for (i = 1; i <= length(digits); i++)
        value = value * 16 + index("0123456789abcdef", substr(digits, i, 1)) - 1
    return value
}

# The function that holds an address; the starts rise.
function holding(address, low, high, middle) {
    low = 1
    high = functions
    while (low < high) {
        middle = int((low + high + 1) / 2)
        if (start[middle] <= address) low = middle; else high = middle - 1
    }
    return name[low]
}

# Names that begin with a dollar mark code and data within a function; no function has one.
/^[0-9a-f]+ <[^$].*>:$/ {
    label = $0
    sub(/^[0-9a-f]+ </, "", label)
    sub(/>:$/, "", label)
    address = $1
    sub(/^0+/, "", address)
    functions++
    start[functions] = number(address)
    name[functions] = label
    next
}

/^ *[0-9a-f]+:/ && $2 ~ /^(bl|blx|b|b\.[nw]|b[a-z][a-z](\.[nw])?|cbz|cbnz)$/ && match($0, /0x[0-9a-f]+ </) {
    calls++
    at[calls] = $1
    sub(/:$/, "", at[calls])
    target[calls] = number(substr($0, RSTART + 2, RLENGTH - 4))
    next
}

END {
    for (i = 1; i <= calls; i++) {
        from[i] = holding(number(at[i]))
        to[i] = holding(target[i])
    }
    suspect["feige_panic_stand_in"] = 1
    do {
        grown = 0
        for (i = 1; i <= calls; i++)
            if (to[i] in suspect && !ours(from[i]) && !(from[i] in suspect)) {
                suspect[from[i]] = 1
                grown = 1
            }
    } while (grown)
    for (i = 1; i <= calls; i++)
        if (to[i] in suspect && ours(from[i]))
            print "site", at[i], from[i], "->", to[i]
}
