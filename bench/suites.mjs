/**
 * A suite is one guest: booted once per run and side, it yields some rows. To add a row to the Linux suite, write
 * `workload/NAME.c`, name it in the table of `workload/main.c` and here. To add a guest, add a suite.
 *
 * @typedef {{
 *   name: string,
 *   rows: readonly { name: string, from: 'boot' | 'marks', what: string }[],
 *   needsKernel: boolean,
 *   byName?: boolean,
 * }} Suite
 * The rows of a suite `byName` run only when `--only` names them.
 * A row `from: 'boot'` costs what the emulator used from the start of its process to the guest's `init` mark;
 * a row `from: 'marks'`, what it used between the row's own two marks.
 */

/** @type {readonly Suite[]} */
export const suites = [
  {
    name: 'bare',
    needsKernel: false,
    rows: [{ name: 'start', from: 'boot', what: 'process start to the first guest code (no kernel)' }],
  },
  {
    name: 'linux',
    needsKernel: true,
    rows: [
      { name: 'boot', from: 'boot', what: "process start to /init on Debian's kernel" },
      { name: 'sieve', from: 'marks', what: 'sieve of Eratosthenes' },
      { name: 'crc32', from: 'marks', what: 'CRC-32 by table' },
      { name: 'sha256', from: 'marks', what: 'SHA-256' },
      { name: 'chase', from: 'marks', what: 'pointer chase through 16 MiB' },
      { name: 'memcpy', from: 'marks', what: 'memcpy, large and short' },
      { name: 'nbody', from: 'marks', what: 'n-body in double' },
      { name: 'getpid', from: 'marks', what: '200 000 × getpid' },
      { name: 'forkexec', from: 'marks', what: '300 × fork, exec and wait' },
    ],
  },
  {
    name: 'programs',
    needsKernel: true,
    byName: true,
    rows: [
      { name: 'qsort', from: 'marks', what: 'quick sort of 64-bit numbers' },
      { name: 'calls', from: 'marks', what: 'Fibonacci numbers by recursion' },
      { name: 'vm', from: 'marks', what: 'an interpreter of byte code' },
      { name: 'matrix', from: 'marks', what: 'products of matrices of doubles' },
      { name: 'dhry', from: 'marks', what: 'records, strings and small procedures' },
    ],
  },
]

/** The rows that run unless `--only` says otherwise. */
export const defaultRows = suites.filter((suite) => suite.byName !== true).flatMap((suite) => suite.rows.map((row) => row.name))

/** Every row's name, in the order of the table. */
export const rowNames = suites.flatMap((suite) => suite.rows.map((row) => row.name))
