/** What the image runs. */
import type { Native } from './native.ts'

declare const native: Native

const memory = native.ram().reduce((sum, { length }) => sum + length, 0)
native.print(`Machinist on ${native.harts} ${native.harts === 1 ? 'hart' : 'harts'}, with ${Math.floor(memory / 2 ** 20)} MiB for guests.\n`)
native.powerOff(0)
