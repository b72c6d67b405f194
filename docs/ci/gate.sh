#!/bin/sh
# The gate of a pipeline: asks a kernel in a virtual machine, and compares with the last run that was good.
#
#   gate.sh KERNEL GOOD RESULTS [ARGUMENTS OF PYTEST]
#
# KERNEL: what python -m vm run takes. GOOD: the log of the last good run; kept anew when there is no regression.
# RESULTS: a directory for reports and logs. Exits with 0 without a regression, with 1 for one, with 125 when the kernel
# couldn't be built, booted or asked.
set -u
kernel=$1 good=$2 results=$3
shift 3
python=$(dirname "$0")/../../.venv/bin/python
PYTHONPATH=$(cd "$(dirname "$0")/../.." && pwd)
export PYTHONPATH

"$python" -m vm run "$kernel" --results="$results" -- "$@"
status=$?
[ "$status" -le 1 ] || exit "$status"

if [ -e "$good" ]; then
	"$python" -m helpers.report compare "$good" "$results/report.jsonl"
	status=$?
	[ "$status" -le 1 ] || exit 125
fi
if [ "$status" -eq 0 ]; then
	mkdir -p "$(dirname "$good")" && cp "$results/report.jsonl" "$good"
fi
exit "$status"
