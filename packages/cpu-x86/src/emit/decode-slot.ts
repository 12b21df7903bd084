import { decode } from '../decode/decoder.ts'
import type { Form, Mode } from '../isa/form.ts'
import type { State } from './layout.ts'
import { decodedLayout, KEY_BIG, Outcome } from './steps.ts'
import { writeOp } from './write-op.ts'

/** Linear memory as the host sees it. */
export interface Views {
  readonly view: DataView
  readonly bytes: Uint8Array
}

const outcomes = { invalid: Outcome.invalid, long: Outcome.long, short: Outcome.short } as const

/**
 * Decodes for `step` (steps.ts): the bytes at an address, into a slot, by the key of the code that they are in. `views` is asked each time, since memories grow; `lacks` has what the processor has not.
 */
export function decodeSlot(views: () => Views, state: State, lacks: ReadonlySet<Form>): (at: number, count: number, slot: number, key: number) => number {
  return (from, count, to, key) => {
    const { view, bytes } = views()
    // Numbers of WebAssembly have signs.
    const [at, slot] = [from >>> 0, to >>> 0]
    const decoded = decode(bytes, (key & ~KEY_BIG) as Mode, lacks, at, at + count)
    if (typeof decoded === 'string') return outcomes[decoded]
    writeOp(view, slot + decodedLayout.op, state, decoded, (key & KEY_BIG) !== 0)
    const { length } = decoded
    bytes.copyWithin(slot + decodedLayout.bytes, at, at + length)
    bytes.fill(0, slot + decodedLayout.bytes + length, slot + decodedLayout.mask)
    bytes.fill(0xff, slot + decodedLayout.mask, slot + decodedLayout.mask + length)
    bytes.fill(0, slot + decodedLayout.mask + length, slot + decodedLayout.key)
    view.setInt32(slot + decodedLayout.key, key, true)
    return Outcome.decoded
  }
}
