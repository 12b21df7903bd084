/**
 * A suite is one guest: booted once per run and side, it yields some rows. To add a row to the Linux suite, write
 * `workload/NAME.c`, name it in the table of `workload/main.c` and here; to add one to the suite of real programs, write
 * `real/rows/NAME.sh` and name it here. To add a guest, add a suite.
 *
 * @typedef {{
 *   name: string,
 *   guest: 'bare' | 'workload' | 'real' | 'debian' | 'disk' | 'net' | 'pair',
 *   rows: readonly { name: string, from: 'boot' | 'marks', what: string, per?: number }[],
 *   byName?: boolean,
 * }} Suite
 * The rows of a suite `byName` run only when `--only` or `--suite` names them.
 * A row `from: 'boot'` costs what the emulator used from the start of its process to the guest's `init` mark;
 * a row `from: 'marks'`, what it used between the row's own two marks. A row that has a `per` works for a time and says
 * how much it did; its figures are those of `per` units of work.
 */

/** Bytes. */
const HUNDRED_MEGABYTES = 1e8

/** @type {readonly Suite[]} */
export const suites = [
  {
    name: 'bare',
    guest: 'bare',
    rows: [{ name: 'start', from: 'boot', what: 'process start to the first guest code (no kernel)' }],
  },
  {
    name: 'linux',
    guest: 'workload',
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
    guest: 'workload',
    byName: true,
    rows: [
      { name: 'qsort', from: 'marks', what: 'quick sort of 64-bit numbers' },
      { name: 'calls', from: 'marks', what: 'Fibonacci numbers by recursion' },
      { name: 'vm', from: 'marks', what: 'an interpreter of byte code' },
      { name: 'matrix', from: 'marks', what: 'products of matrices of doubles' },
      { name: 'dhry', from: 'marks', what: 'records, strings and small procedures' },
    ],
  },
  {
    name: 'disk',
    guest: 'disk',
    byName: true,
    rows: [
      { name: 'diskread', from: 'marks', what: '512 MiB read in order, 1 MiB at a time' },
      { name: 'diskwrite', from: 'marks', what: '512 MiB written in order, 1 MiB at a time' },
      { name: 'diskread4k', from: 'marks', what: '20 000 × 4 KiB read at random' },
      { name: 'diskwrite4k', from: 'marks', what: '20 000 × 4 KiB written at random' },
    ],
  },
  {
    name: 'real',
    guest: 'real',
    byName: true,
    rows: [
      { name: '7zz', from: 'marks', what: "7-Zip's benchmark, one thread, 1 MiB" },
      { name: 'openssl-sha256', from: 'marks', what: 'openssl speed sha256: CPU time for 100 MB', per: HUNDRED_MEGABYTES },
      { name: 'openssl-aes', from: 'marks', what: 'openssl speed aes-128-cbc: CPU time for 100 MB', per: HUNDRED_MEGABYTES },
      { name: 'python3-start', from: 'marks', what: '10 × python3 -c pass' },
      { name: 'python3-loop', from: 'marks', what: 'a loop of plain Python' },
      { name: 'gcc', from: 'marks', what: 'gcc -O2 of 5 500 lines' },
      { name: 'gzip', from: 'marks', what: 'gzip of 100 MB' },
    ],
  },
  {
    name: 'debian',
    guest: 'debian',
    byName: true,
    rows: [{ name: 'login', from: 'boot', what: 'process start to the login of Debian on a disk, its first boot' }],
  },
  {
    name: 'net',
    guest: 'net',
    byName: true,
    rows: [
      { name: 'net-up', from: 'marks', what: '128 MiB by TCP from the guest to the host, through the NAT' },
      { name: 'net-down', from: 'marks', what: '128 MiB by TCP from the host to the guest, through the NAT' },
    ],
  },
  {
    name: 'pair',
    guest: 'pair',
    byName: true,
    rows: [{ name: 'net-guests', from: 'marks', what: '128 MiB by TCP from one guest to another; the cost of both' }],
  },
]

/** The rows that run unless `--only` says otherwise. */
export const defaultRows = suites.filter((suite) => suite.byName !== true).flatMap((suite) => suite.rows.map((row) => row.name))

/** Every row's name, in the order of the table. */
export const rowNames = suites.flatMap((suite) => suite.rows.map((row) => row.name))
