import type { MachineSnapshot, StoredMachine } from '../src/index.ts'

const PAGE = 4096

/** A snapshot as a file would give it, in memory: all of it is copied, and it is disposed of. */
export function storedOf(snapshot: MachineSnapshot): StoredMachine {
  const { definition, memory, state } = snapshot
  const pages: Uint8Array[] = []
  const regions = memory.regions.map(({ name, base, size }) => ({
    name, base, size,
    pages: Uint32Array.from({ length: size / PAGE }, (_, index) => {
      const page = new Uint8Array(PAGE)
      memory.read(base + index * PAGE, page)
      return page.some((byte) => byte !== 0) ? pages.push(page) : 0
    }),
  }))
  const stored = { definition, state: structuredClone(state), memory: regions, image: (file: string) => snapshot.image(file), source: { load: (number: number, into: Uint8Array) => { into.set(pages[number - 1] ?? []) } } }
  snapshot.dispose()
  return stored
}
