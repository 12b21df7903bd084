import type { VcpuSample } from '@machinist/api'
import type { GuestMemory } from '@machinist/memory'
import { decode } from './decode/decoder.ts'
import { Register, segmentLayout } from './emit/layout.ts'
import type { Mode } from './isa/form.ts'
import type { X86Record } from './record.ts'
import { LinearView } from './space.ts'

const [RSP, RBP] = [4, 5]
/** Calls have 2 to 7 bytes, and perhaps a prefix. */
const LONGEST_CALL = 8
const SHORTEST_CALL = 2

/** Whether a call ends at an address: whether that can be where a function returns to. */
function followsCall(view: LinearView, address: bigint, mode: Mode): boolean {
  const bytes = new Uint8Array(LONGEST_CALL)
  for (let length = SHORTEST_CALL; length <= LONGEST_CALL; length++) {
    const code = view.read(address - BigInt(length), bytes.subarray(0, length))
    if (code === null) return false
    const found = decode(code, mode)
    if (typeof found === 'object' && found.length === length && found.form.instruction.name === 'call') return true
  }
  return false
}

/**
 * Where a processor is. The stack is what frame pointers lead to, as long as each lies above the one before and leads to an address behind a
 * call; so code that uses rBP otherwise ends it. When it ends at once, what rSP points to stands for the caller, if it can: a function that has not begun its frame yet.
 * Pages of the guest are read as the processor would see them, RAM only.
 */
export function sampleHart(record: X86Record, memory: Pick<GuestMemory, 'read'>, depth: number): VcpuSample {
  const view = new LinearView(record, memory)
  const mode = record.get('mode') as Mode
  const bytes = mode / 8
  const base = (register: number): bigint => mode === 64 ? 0n : record.data.getBigUint64(record.state.segment(register) + segmentLayout.base, true)
  const [code, data] = [base(Register.cs), base(Register.ss)]
  const word = (offset: bigint): bigint | null => {
    const found = view.read(data + offset, new Uint8Array(bytes))
    return found === null ? null : [...found].reduceRight((value, byte) => value << 8n | BigInt(byte), 0n)
  }
  const returns = (address: bigint | null): address is bigint => address !== null && followsCall(view, code + address, mode)
  const register = (number: number): bigint => BigInt.asUintN(mode, record.get64('registers', number))
  const stack = [BigInt.asUintN(64, code + record.get64('pc'))]
  let below = register(RSP)
  let frame = register(RBP)
  while (stack.length < depth && frame >= below && frame % BigInt(bytes) === 0n) {
    const caller = word(frame + BigInt(bytes))
    const next = word(frame)
    if (!returns(caller) || next === null) break
    stack.push(code + caller)
    below = frame + 1n
    frame = next
  }
  const top = stack.length === 1 && depth > 1 ? word(register(RSP)) : null
  if (returns(top)) stack.push(code + top)
  return { mode: record.get('cpl') === 3 ? 'user' : 'supervisor', stack }
}
