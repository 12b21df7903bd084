// Runs in the image: a register where nothing is, which the kernel cannot survive.
import type { Native } from '../../src/native.ts'

declare const native: Native

native.print('before\n')
native.read(0x18000000, 4)
native.print('wrong: it came back\n')
