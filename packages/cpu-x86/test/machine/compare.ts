import { Random } from '../host/random.ts'
import { type Family, randomCases } from './cases.ts'
import { runHere } from './here.ts'
import { buildImage, RECORD_BYTES } from './image.ts'
import { runQemu } from './qemu.ts'

const names = ['cr3', 'cr2', 'cr0', 'ldtr', 'tr', 'ss', 'gs', 'fs', 'es', 'ds', 'edi', 'esi', 'ebp', 'esp', 'ebx', 'edx', 'ecx', 'eax', 'vector', 'error', 'eip', 'cs', 'eflags', 'esp outside', 'ss outside', 'es outside', 'ds outside', 'fs outside', 'gs outside']

function wordsOf(log: Uint8Array, record: number): number[] {
  const view = new DataView(log.buffer, log.byteOffset + record * RECORD_BYTES, RECORD_BYTES)
  return Array.from({ length: RECORD_BYTES / 4 }, (_, i) => view.getUint32(4 * i, true))
}

const VECTOR = 18
const RESUME = 1 << 16
/**
 * What is not compared. RF in the flags that a fault pushes, wherever they are in a record, and the accessed bit of descriptors of CS and of SS that a far transfer loads: QEMU sets neither (SDM volume 3,
 * 18.3.1.1 and 3.4.5.1). IP of a 16-bit task that could not be entered, which is in word 59: QEMU's is of the old one. Bit 0 of an error code, EXT, which it often leaves out.
 */
const ignored: Readonly<Record<number, number>> = { 19: 1, 49: 1 << 8, 51: 1 << 8, 53: 1 << 8, 59: -1 }

/** Compares random cases of a family with QEMU; returns the first few that differ, in words. */
export function compareWithQemu(family: Family, count: number, seed: number): string[] {
  const cases = randomCases(new Random(seed), family, count)
  const image = buildImage(cases)
  const here = runHere(image)
  const there = runQemu(image, 'max')
  const found: string[] = []
  cases.forEach(({ name }, i) => {
    if (found.length >= 10) return
    const size = (i + 1) * RECORD_BYTES
    if (here.length < size || there.length < size) {
      if (here.length !== there.length) found.push(`${i} ${name}: ended ${here.length < size ? 'here' : 'in QEMU'}`)
      return
    }
    const [a, b] = [wordsOf(here, i), wordsOf(there, i)]
    const different = a.flatMap((value, at) => {
      const other = b[at] ?? 0
      return ((value ^ other) & ~(ignored[at] ?? 0)) === 0 || value === other + RESUME ? [] : [`${names[at] ?? `word ${at}`} ${value.toString(16)}, QEMU ${other.toString(16)}`]
    })
    if (different.length > 0) found.push(`${i} ${name} (vector ${a[VECTOR]?.toString(16)}, error ${a[VECTOR + 1]?.toString(16)}; QEMU ${b[VECTOR]?.toString(16)}, ${b[VECTOR + 1]?.toString(16)}): ${different.join('; ')}`)
  })
  if (found.length === 0 && here.length !== there.length) found.push(`${here.length} bytes of answer, QEMU ${there.length}`)
  return found
}
