// Runs in the image: what functions of numbers give for inputs that numbers.long.test.ts has, too, as the bits of doubles.
import type { Native } from '../../src/native.ts'
import { bitsOf, functions, inputs } from '../numbers.ts'

declare const native: Native

for (const [name, call] of functions) native.print(`${name} ${inputs().map(([x, y]) => bitsOf(call(x, y))).join(' ')}\n`)
