import { call, type Expr, i32, i64 } from '@machinist/wasm'
import type { Stage } from '../emit/stage.ts'
import { group, type Instruction } from '../isa/form.ts'

/** Ports (SDM volume 1, chapter 19). */
const { instructions, define } = group('ports')
export const ports: readonly Instruction[] = instructions

const [RDX, RSI, RDI] = [2, 6, 7]

const checked = (s: Stage, port: Expr<'i32'>, size: number): Expr<'i32'> => {
  const bound = s.let(port)
  s.try(call(s.shared.checkPort, bound, size))
  return bound
}
define('in', ['E4 AL Ib', 'E5 eAX Ib', 'EC AL DX', 'ED eAX DX'], (s) => {
  const size = s.size(0)
  const port = checked(s, i32.wrap(i64.and(s.read(1, 2), s.isImmediate(1) ? 255 : 0xffff)), size)
  s.write(0, s.truncate(i64.extendU(call(s.shared.readPort, port, size)), size))
})
define('out', ['E6 Ib AL', 'E7 Ib eAX', 'EE DX AL', 'EF DX eAX'], (s) => {
  const size = s.size(1)
  const port = checked(s, i32.wrap(i64.and(s.read(0, 2), s.isImmediate(0) ? 255 : 0xffff)), size)
  s.f.do(call(s.shared.writePort, port, size, i32.wrap(s.read(1))))
})
define('ins', ['6C Yb DX', '6D Yz DX'], (s) => s.iterate(() => {
  const size = s.size(0)
  const port = checked(s, i32.wrap(s.register(RDX, 2)), size)
  // What cannot be stored is not taken from the device.
  s.writable(s.stringOffset(RDI), size, 'extra')
  s.write(0, s.truncate(i64.extendU(call(s.shared.readPort, port, size)), size))
  s.advance(RDI, size)
}), { repeat: 'rep' })
define('outs', ['6E DX Xb', '6F DX Xz'], (s) => s.iterate(() => {
  const size = s.size(1)
  const port = checked(s, i32.wrap(s.register(RDX, 2)), size)
  const value = s.let(s.read(1))
  s.f.do(call(s.shared.writePort, port, size, i32.wrap(value)))
  s.advance(RSI, size)
}), { repeat: 'rep' })
