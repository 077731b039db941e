# shellcheck shell=bash
# For classes: checking a server that is already running, and exercises.

#: check N [--url URL]         check a running server, in whatever language, against step N's contract
#:   --url URL                   once more: a second server on the same store
#:   --ttl SECONDS | --redis URL   its SESSION_TTL, if it is not 10; its REDIS_URL, to look at the keys
verb_check() {
  step_name "${1-}" >/dev/null
  need build redis
  python3 -m exercises.tool check "$@"
}

#: exercise [NAME]             list the exercises; copy, build and check one of them
#:   --watch | --hint | --reset | --solution   check at each save; the next hint; start again; one way to do it
#:   --prove [NAME ...]          check start, solution and wrong ways of all exercises, as CI does
#:     --preset asan|tsan          with a sanitizer, the solutions only
#:     --changed-since COMMIT      only exercises that have changed since
#:     --repeat TIMES              each so many times
verb_exercise() {
  need build run redis classroom
  python3 -m exercises.tool exercise "$@"
}

#: start N                     lay out my/stepN: step N without its idea, for you to type
#:   afterwards                  ./tutorial run N --mine --watch, check N, diff N --mine
verb_start() {
  local step
  step=$(step_name "${1-}")
  need classroom
  python3 -m exercises.tool.variants start "${step:4:1}"
}

#: grade NAME DIR...           grade submissions of an exercise, each in a sandbox (needs root)
#:   --format FORMAT             json, markdown, csv, junit, github, classroom, gradescope, exercism
#:   --output FILE | --seed SEED | --trust   the JSON; the names of an earlier run; no sandbox
verb_grade() {
  need build run redis classroom
  python3 -m exercises.tool grade "$@"
}
