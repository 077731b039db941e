# shellcheck shell=bash
# Testing and linting.

#: test [N] [OPTIONS]          build and run the tests, or those of step N
#:   --preset asan|tsan          with a sanitizer
#:   --contributor               only what contributors need: the text, this script, instruction counts
verb_test() {
  local flag=''
  parse preset "$@"
  case " ${arguments[*]} " in *' --contributor '*) flag=contributor ;; esac
  local step='' preset=${option[preset]-tutorial} word
  [[ $preset =~ ^(tutorial|asan|tsan)$ ]] ||
    wrong_usage "there is no preset '$preset', only tutorial, asan and tsan"
  for word in "${arguments[@]}"; do
    case $word in
      --contributor) ;;
      -*) wrong_usage "test has no option '$word'" ;;
      *) [[ -z $step ]] || wrong_usage "one step at a time, not also '$word'"; step=$(step_name "$word") ;;
    esac
  done

  need build run
  [[ $step == step[14]_* ]] || need redis
  # Without these, tests are skipped, or fail in CI.
  [[ $step == step[1234]_* ]] || try_need nginx || true
  [[ $step == step[123]_* ]] || try_firestore || true
  [[ -n $step ]] || try_need browser || true
  if [[ $flag == contributor ]]; then
    need tests lint
    (need_mermaid) || true  # without it a test is skipped, or fails in CI
  fi
  build_preset "$preset" "${step:+test_}${step:-all}"
  python3 -m tests.report "$preset" ${step:+--step "$step"} ${flag:+--label "$flag"} ||
    fail 'some tests failed; their output is above'
}

#: lint                        check the style of all sources: C++, shell and Python
verb_lint() {
  (($# == 0)) || wrong_usage "lint has no argument '$1'"
  need build lint
  sources() { find . \( -name build -o -name node_modules -o -name .git \) -prune -o -type f "$@" -print0; }
  echo 'clang-format'
  sources -name '*.[ch]pp' | xargs -0 clang-format --dry-run -Werror ||
    fail 'the layout of some sources is not ours. Try: clang-format -i FILE'
  echo 'shellcheck'
  # The files of driver/ are checked where ./tutorial sources them.
  { printf '%s\0' tutorial .ci/run; sources -name '*.sh' ! -path './driver/*'; } |
    xargs -0 shellcheck --external-sources
  echo 'pyflakes'
  sources -name '*.py' | xargs -0 pyflakes3
  echo 'clang-tidy'
  build_preset tutorial all
  build_preset tutorial lint
}
