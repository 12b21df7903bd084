/** How often a row does its thing between its marks. */
export const ROUNDS = 200
export const COMPUTE_ROUNDS = 20

/** The marks of the guests: the bare program's rows have two each, from FIRST_ROW on. 0 is the first instruction of Linux, 1 its prompt; 3 stands before a rest that comes before a row, and after one that comes behind it. */
export const PROMPT = 1
export const END = 2
export const REST = 3
const FIRST_ROW = 10

/** What the bare program does, in its order. */
export const rows = [
  { name: 'timer', what: 'a timer is set by SBI, interrupts, and is set off' },
  { name: 'ipi', what: 'an IPI by SBI to the hart itself, taken' },
  { name: 'wait', what: 'WFI until a timer 100 µs later, taken' },
  { name: 'console', what: 'a byte to the console by SBI' },
  { name: 'uart_write', what: 'a byte to the UART (THR)' },
  { name: 'uart_read', what: 'the UART\'s line status (LSR)' },
  { name: 'compute', what: 'no exit: loops over 256 KiB' },
  { name: 'notify', what: 'a virtio doorbell with nothing in the ring' },
  { name: 'disk', what: '4 KiB by virtio block: request, doorbell, WFI, interrupt, PLIC claim and completion' },
].map((row, index) => ({ ...row, mark: FIRST_ROW + 2 * index, rounds: row.name === 'compute' ? COMPUTE_ROUNDS : ROUNDS }))

/** The same for the program. */
export function rowsHeader() {
  const lines = [['ROUNDS', ROUNDS], ['COMPUTE_ROUNDS', COMPUTE_ROUNDS], ['MARK_END', END], ['MARK_REST', REST], ...rows.map(({ name, mark }) => [`MARK_${name}`, mark])]
  return lines.map(([name, value]) => `#define ${name} ${value}\n`).join('')
}
