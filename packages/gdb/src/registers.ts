import type { DebugRegister, VcpuDebug } from '@machinist/api'
import { parseSmallHex, registerFromHex, registerToHex } from './text.ts'

/** What a `g` packet holds: those whose numbers come one after the other from 0 on, which are what programs have. GDB asks for the others one by one. */
function inGeneral({ registers }: VcpuDebug): readonly DebugRegister[] {
  const numbers = new Map(registers.map((register) => [register.number, register]))
  const found: DebugRegister[] = []
  for (let register = numbers.get(0); register !== undefined; register = numbers.get(found.length)) found.push(register)
  return found
}

/** `g`. */
export function readAll(hart: VcpuDebug): string {
  return inGeneral(hart).map(({ number, bits }) => registerToHex(hart.readRegister(number) ?? 0n, bits)).join('')
}

/** `G`: all of them, or those that come first. Nothing is written when it is not understood. */
export function writeAll(hart: VcpuDebug, text: string): string {
  const values: [number, bigint][] = []
  let at = 0
  for (const { number, bits } of inGeneral(hart)) {
    if (at === text.length) break
    const value = registerFromHex(text.slice(at, at + bits / 4), bits)
    if (value === null) return 'E01'
    values.push([number, value])
    at += bits / 4
  }
  if (at !== text.length) return 'E01'
  return values.every(([number, value]) => hart.writeRegister(number, value)) ? 'OK' : 'E16'
}

const find = (hart: VcpuDebug, text: string): DebugRegister | undefined => {
  const number = parseSmallHex(text)
  return hart.registers.find((register) => register.number === number)
}

/** `p`. */
export function readOne(hart: VcpuDebug, text: string): string {
  const register = find(hart, text)
  const value = register === undefined ? null : hart.readRegister(register.number)
  return register === undefined || value === null ? 'E01' : registerToHex(value, register.bits)
}

/** `P`. */
export function writeOne(hart: VcpuDebug, text: string): string {
  const [name = '', digits = ''] = text.split('=', 2)
  const register = find(hart, name)
  const value = register === undefined ? null : registerFromHex(digits, register.bits)
  if (register === undefined || value === null) return 'E01'
  return hart.writeRegister(register.number, value) ? 'OK' : 'E16'
}
