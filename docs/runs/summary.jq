# Medians of a recorded run as CSV: jq -r -f docs/runs/summary.jq RUN.json > docs/runs/RUN.csv
def median: sort | if length == 0 then null elif length % 2 == 1 then .[length / 2 | floor] else (.[length / 2] + .[length / 2 - 1]) / 2 end;
def digits($n): if . == null then "" else pow(10; $n - 1 - ([fabs, 1e-9] | max | log10 | floor)) as $f | (. * $f | round) / $f end;

if type == "object" and has("machine") then # standings: one row a workload and measure
  (.allocators | map(.[0])) as $names
  | ("# \(.machine | "\(.date), commit \(.commit), \(.cores) cores of \(.processor), Linux \(.kernel), \(.rustc)"), \(.rounds) rounds"),
    (["group", "workload", "measure"] + $names | @csv),
    (.workloads[] | . as $w
      | def row($measure; f): [$w.group, $w.name, $measure] + [$w.arms[] | [(.rounds // [])[] | f | select(. != null)] | median | digits(4)] | @csv;
        row("ns an operation"; .nanoseconds? as $ns | .operations? as $n | if $ns and $n then $ns / $n else null end),
        row("peak KiB"; .peak_resident? // null | if . then . / 1024 else null end),
        (select($w.arms[7].rounds[0].kept) | row("KiB kept"; .kept? // null | if . then . / 1024 else null end)),
        (select($w.arms[7].rounds[0].allocation) | row("p99.9 ns of an allocation"; .allocation?.p99_9), row("p99.9 ns of a free"; .free?.p99_9))),
    (.instructions[]? | ["instructions", .name, "instructions"] + (.instructions | map(digits(4))) | @csv)
elif type == "object" and has("workloads") then # stacks: one row a stack, one column a pattern
  [.workloads[].name] as $patterns
  | ("# \(.rounds) rounds; ns an operation"),
    (["stack"] + $patterns | @csv),
    ([.workloads[0].stacks[].name][] as $stack
      | [$stack] + [.workloads[] | .stacks[] | select(.name == $stack) | .ns_per_op.median | if . < 99.95 then . * 10 | round / 10 else round end] | @csv)
elif type == "object" then # tuning: one row a program
  (["program", "classes before", "classes after", "waste before", "waste predicted", "waste realised", "requested", "requested realised"]
    + [("default", "tuned", "greedy") | "\(.) peak KiB", "\(.) processor s"] | @csv),
  (.programs[] | . as $p
    | [.program, .tuning.before.classes, .tuning.after.classes, .tuning.before.waste, .tuning.after.waste, .tuning.realised.waste, .tuning.before.requested, .tuning.realised.requested]
    + [("default", "tuned", "greedy") as $arm | ([$p.runs[$arm][].peak_rss_kib] | median), ([$p.runs[$arm][].processor_seconds] | median)] | @csv)
else # preloaded: one row a program and library
  (["program", "library", "seconds", "peak KiB"] | @csv),
  (.[] | [.program, .library, ([.runs[].seconds] | median | digits(4)), ([.runs[].peak_resident] | median)] | @csv)
end
