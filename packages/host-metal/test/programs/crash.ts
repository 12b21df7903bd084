// Runs in an image whose kernel was broken on purpose: its fence() reads where nothing is.
import type { Native } from '../../src/native.ts'

declare const native: Native

native.print('before\n')
native.fence()
native.print('wrong: it came back\n')
