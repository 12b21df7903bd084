/** Images of compact discs that firmware boots. */

const BLOCK = 2048
/** Where things are, in blocks; files follow. */
const At = { volume: 16, bootRecord: 17, end: 18, catalog: 19, paths: 20, bigPaths: 21, root: 22, files: 23 } as const
/** What an image that is loaded begins with: the boot information table of mkisofs, from byte 8 on, and what is summed begins behind it. */
const [TABLE, SUMMED] = [8, 64]
/** Sectors of 512 bytes that firmware loads. */
const LOADED = 4

function text(view: DataView, at: number, length: number, value: string): void {
  for (let index = 0; index < length; index++) view.setUint8(at + index, value.charCodeAt(index) || 0x20)
}

/** A number in both orders of bytes (ECMA-119, 7.2.3 and 7.3.3). */
function both16(view: DataView, at: number, value: number): void {
  view.setUint16(at, value, true)
  view.setUint16(at + 2, value)
}

function both32(view: DataView, at: number, value: number): void {
  view.setUint32(at, value, true)
  view.setUint32(at + 4, value)
}

/** A directory record (ECMA-119, 9.1); returns where the next is. */
function record(view: DataView, at: number, name: string, block: number, size: number, folder: boolean): number {
  const length = 33 + name.length + (name.length + 1) % 2
  view.setUint8(at, length)
  both32(view, at + 2, block)
  both32(view, at + 10, size)
  view.setUint8(at + 25, folder ? 2 : 0)
  both16(view, at + 28, 1)
  view.setUint8(at + 32, name.length)
  for (let index = 0; index < name.length; index++) view.setUint8(at + 33 + index, name.charCodeAt(index))
  return at + length
}

/** A disc (ECMA-119) with files in one folder, the first of which firmware loads and starts, without emulating another medium (El Torito, 2.0). */
export function bootDisc(files: readonly { readonly name: string; readonly bytes: Uint8Array }[]): Uint8Array {
  let next: number = At.files
  const placed = files.map(({ name, bytes }) => {
    const block = next
    next += Math.ceil(bytes.length / BLOCK)
    return { name: `${name.toUpperCase()};1`, bytes, block }
  })
  const image = new Uint8Array(next * BLOCK)
  const view = (block: number): DataView => new DataView(image.buffer, block * BLOCK)
  for (const { bytes, block } of placed) image.set(bytes, block * BLOCK)
  const volume = view(At.volume)
  volume.setUint8(0, 1)
  text(volume, 1, 5, 'CD001')
  volume.setUint8(6, 1)
  text(volume, 8, 64, '')
  text(volume, 40, 32, 'DISC')
  both32(volume, 80, next)
  both16(volume, 120, 1)
  both16(volume, 124, 1)
  both16(volume, 128, BLOCK)
  both32(volume, 132, 10)
  volume.setUint32(140, At.paths, true)
  volume.setUint32(148, At.bigPaths)
  record(volume, 156, '\0', At.root, BLOCK, true)
  text(volume, 190, 623, '')
  volume.setUint8(881, 1)
  const boot = view(At.bootRecord)
  text(boot, 1, 5, 'CD001')
  boot.setUint8(6, 1)
  for (const [index, letter] of [...'EL TORITO SPECIFICATION'].entries()) boot.setUint8(7 + index, letter.charCodeAt(0))
  boot.setUint32(0x47, At.catalog, true)
  const end = view(At.end)
  end.setUint8(0, 255)
  text(end, 1, 5, 'CD001')
  end.setUint8(6, 1)
  const [first] = placed
  const catalog = view(At.catalog)
  catalog.setUint8(0, 1)
  catalog.setUint16(30, 0xaa55, true)
  // All words of the first entry come to 0.
  catalog.setUint16(28, -(1 + 0xaa55) & 0xffff, true)
  catalog.setUint8(32, 0x88)
  catalog.setUint16(38, LOADED, true)
  catalog.setUint32(40, first?.block ?? 0, true)
  for (const [block, little] of [[At.paths, true], [At.bigPaths, false]] as const) {
    const paths = view(block)
    paths.setUint8(0, 1)
    paths.setUint32(2, At.root, little)
    paths.setUint16(6, 1, little)
  }
  const root = view(At.root)
  let at = record(root, record(root, 0, '\0', At.root, BLOCK, true), '\x01', At.root, BLOCK, true)
  for (const { name, bytes, block } of placed.toSorted((a, b) => (a.name < b.name ? -1 : 1))) at = record(root, at, name, block, bytes.length, false)
  if (first !== undefined) {
    const loaded = view(first.block)
    let sum = 0
    for (let place = SUMMED; place < first.bytes.length; place += 4) sum = sum + (place + 4 <= first.bytes.length ? loaded.getUint32(place, true) : new DataView(Uint8Array.from([...first.bytes.subarray(place), 0, 0, 0]).buffer).getUint32(0, true)) >>> 0
    for (const [index, value] of [At.volume, first.block, first.bytes.length, sum].entries()) loaded.setUint32(TABLE + 4 * index, value, true)
  }
  return image
}
