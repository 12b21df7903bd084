import type { Views } from '../emit/decode-slot.ts'
import { fusedHandler } from '../emit/hot-variants.ts'
import type { State } from '../emit/layout.ts'
import { DenseKey, denseLayout, densePage, LINE, MOST_OPS, PLACE_BITS, Pseudo } from '../emit/op-format.ts'
import type { Form } from '../isa/form.ts'
import { MAX_LENGTH } from './decoder.ts'
import { cold, type Fields, Taker } from './taker.ts'

const PAGE = 4096
/** Instructions that are decoded at once. */
const MOST = 32
const NO_FORMS: ReadonlySet<Form> = new Set()

/**
 * Decodes for `run`, as code of a DenseKey: from an offset of the page whose ops lie there, up to where control does not go on by itself, or to an instruction that was decoded before, and says the number
 * of the first op. `renew` is told of a page that begins anew. An instruction that goes on in the next page, or is none, is left to `step`.
 */
export function decodeRun(views: () => Views, state: State, lacks: ReadonlySet<Form> = NO_FORMS, renew: (ops: number) => void = () => undefined): (ops: number, offset: number, key: number) => number {
  const taker = new Taker(state, lacks)
  return (page, from, key) => {
    // Numbers of WebAssembly have signs.
    const ops = page >>> 0
    const mode = key === DenseKey.long ? 64 : 32
    const host = views()
    const { view, bytes } = host
    const frame = view.getUint32(ops + densePage.frame, true)
    let used = Math.max(1, view.getUint32(ops + densePage.used, true))
    if (used + MOST + 1 > MOST_OPS || view.getUint32(ops + densePage.key, true) !== key) {
      // Everything anew, unless it is.
      if (view.getUint32(ops + densePage.key, true) !== 0) {
        renew(ops)
        bytes.fill(0, ops + densePage.map, ops + densePage.used)
        bytes.fill(0, ops + densePage.lines, ops + densePage.size)
      }
      view.setUint32(ops + densePage.key, key, true)
      used = 1
    }
    const first = used
    const put = ({ handler, reg, rm, base, index, displacement, immediate }: Fields, place: number): void => {
      const at = ops + used++ * denseLayout.size
      view.setUint16(at + denseLayout.handler, handler, true)
      view.setUint16(at + denseLayout.place, place, true)
      view.setUint8(at + denseLayout.reg, reg)
      view.setUint8(at + denseLayout.rm, rm)
      view.setUint8(at + denseLayout.base, base)
      view.setUint8(at + denseLayout.index, index)
      view.setInt32(at + denseLayout.displacement, displacement, true)
      view.setInt32(at + denseLayout.immediate, immediate, true)
    }
    const known = (offset: number): boolean => view.getUint16(ops + densePage.map + 2 * offset, true) !== 0
    let offset = from
    /** The handler of the instruction before, of those that have no operand in memory. */
    let before = 0
    for (let count = 0; ; count++) {
      if (offset >= PAGE || count === MOST || count > 0 && known(offset)) {
        put({ ...cold, handler: Pseudo.go, displacement: offset }, 0)
        break
      }
      const taken = taker.take(host, frame, offset, mode)
      const { handler, length, displacement } = taken
      // The head of a loop.
      if (taken.branches && displacement >= 0 && displacement <= offset) view.setUint8(ops + densePage.marks + displacement, 1)
      mark(view, ops, offset, Math.min(PAGE, offset + Math.max(1, length === 0 ? MAX_LENGTH : length)))
      view.setUint16(ops + densePage.map + 2 * offset, used, true)
      const both = taken.branches && before !== 0 ? fusedHandler(before, handler) : 0
      put(taken, offset | length << PLACE_BITS)
      if (both !== 0) {
        const at = ops + (used - 2) * denseLayout.size
        view.setUint16(at + denseLayout.handler, both, true)
        view.setInt32(at + denseLayout.displacement, displacement, true)
      }
      before = taken.memory ? 0 : handler
      if (taken.last) break
      offset += length
    }
    view.setUint32(ops + densePage.used, used, true)
    return first
  }
}

/** Notes that bytes of the page were decoded. */
function mark(view: DataView, ops: number, from: number, to: number): void {
  for (let line = Math.floor(from / LINE); line <= Math.floor((to - 1) / LINE); line++) {
    const at = ops + densePage.lines + (line >>> 3)
    view.setUint8(at, view.getUint8(at) | 1 << (line & 7))
  }
}
