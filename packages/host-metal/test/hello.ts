import type { Native } from '../src/native.ts'

declare const native: Native
native.print(`Hello from TypeScript on ${native.harts} harts\n`)
