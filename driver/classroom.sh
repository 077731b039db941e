# shellcheck shell=bash
# For classes: checking a server that is already running, and exercises.

#: check N [--url URL]         run step N's scenarios against a server that is already running
verb_check() {
  parse url "$@"
  local step url=http://127.0.0.1:5000
  step=$(step_name "${arguments[*]}")
  [[ $step != step4_* ]] || url=http://127.0.0.1:8080
  need build
  build "test_$step"
  SESSIONS_URL=${option[url]-$url} "$build_folder/bin/test_$step" --gtest_filter="Step${step:4:1}Contract*.*"
}

#: exercise [NAME]             list the exercises; copy, build and check one of them
#:   --watch | --hint | --reset | --solution   check at each save; the next hint; start again; one way to do it
#:   --prove [NAME ...]          check start, solution and wrong ways of all exercises, as CI does
verb_exercise() {
  need build run redis classroom
  python3 -m exercises.tool exercise "$@"
}

#: grade NAME DIR...           grade submissions of an exercise, each in a sandbox (needs root)
#:   --format FORMAT             json, markdown, csv, junit, github, classroom, gradescope, exercism
#:   --output FILE | --seed SEED | --trust   the JSON; the names of an earlier run; no sandbox
verb_grade() {
  need build run redis classroom
  python3 -m exercises.tool grade "$@"
}
