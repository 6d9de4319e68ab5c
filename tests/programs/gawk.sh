# Arrays of arrays, strings that grow, sorting.
gawk '
    BEGIN { PROCINFO["sorted_in"] = "@ind_str_asc" }
    { for (i = 1; i <= NF; i++) { n[$i]++; at[$i][FNR] = FILENAME; all = all substr($i, 1, 1) } }
    END {
        for (w in n) { c = 0; for (l in at[w]) c++; if (n[w] > 2) print w, n[w], c }
        m = split(all, letters, "e"); print m, length(all)
        for (i = 0; i < 300000; i++) { k = (i * 7919) % 100003; x[k] = x[k] "." i % 10 }
        s = 0; for (k in x) s += length(x[k]); print s
    }' "$TOP"/docs/*.md "$TOP"/hakmem-*/src/*.rs | sed "s|$TOP||"
