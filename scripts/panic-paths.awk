# Reads `llvm-objdump --disassemble` and prints each call that leads into a panic:
#
#   site ADDRESS CALLER -> CALLEE
#
# A callee is suspect if it is the panic handler's stand-in, or one of the language's panic functions, or a
# function outside this project that calls a suspect one. Functions of this project are where the search ends:
# they are the ones to repair.

function ours(name) { return name ~ /feige|proof_/ && name !~ /feige_panic_stand_in/ }

/^[0-9a-f]+ <.*>:$/ {
    current = $0
    sub(/^[0-9a-f]+ </, "", current)
    sub(/>:$/, "", current)
    next
}

/^ *[0-9a-f]+:/ && /<.*>/ {
    address = $1
    sub(/:$/, "", address)
    operation = $2
    if (operation !~ /^(bl|blx|b|b\.w|b[a-z][a-z]|b[a-z][a-z]\.w|cbz|cbnz)$/) next
    callee = $0
    sub(/^[^<]*</, "", callee)
    sub(/>[^>]*$/, "", callee)
    sub(/\+0x[0-9a-f]+$/, "", callee)
    if (callee == current) next
    calls++
    from[calls] = current; to[calls] = callee; at[calls] = address
}

END {
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
