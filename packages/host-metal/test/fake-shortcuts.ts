import { ShortcutServed, shortcutRecord, WAITING_STORES } from '../src/shortcut-record.ts'

const at = Object.fromEntries(Object.entries(shortcutRecord.offset).map(([name, offset]) => [name, offset >> 2])) as { readonly [Name in keyof typeof shortcutRecord.offset]: number }

/** What the kernel does with a machine's shortcuts (`shortcuts.c`). */
export class FakeShortcuts {
  readonly page: ArrayBuffer = new ArrayBuffer(shortcutRecord.size)
  readonly #words = new Uint32Array(this.page)

  /**
   * Makes an access.
   *
   * @param stored - undefined for a load
   * @returns what a load gives, or 0; −1 when it is not served
   */
  serve(address: number, width: number, stored: number | undefined, here: boolean): number {
    const words = this.#words
    const word = (index: number): number => words[index] ?? 0
    if (word(at.closed) !== 0) return -1
    for (let i = 0; i < word(at.count); i++) {
      const kind = word(at.kind + i)
      if (word(at.address + 2 * i) + word(at.address + 2 * i + 1) * 2 ** 32 !== address || word(at.width + i) !== width || (stored === undefined) !== (kind === ShortcutServed.shadow)) continue
      if (kind !== ShortcutServed.doorbell && word(at.rung) !== 0) return -1
      const open = word(at.open + i)
      if (stored === undefined && open === 0) return -1
      words[at.served] = word(at.served) + 1
      if (stored === undefined) return word(at.value + i)
      const waiting = (word(at.put) - word(at.taken)) >>> 0
      if (waiting >= open || waiting >= WAITING_STORES || (kind === ShortcutServed.doorbell && here)) {
        words[at.served] = word(at.served) - 1
        return -1
      }
      const slot = word(at.put) % WAITING_STORES
      words[at.place + slot] = i
      words[at.stored + slot] = stored
      words[at.put] = word(at.put) + 1
      if (kind === ShortcutServed.doorbell) words[at.rung] = word(at.rung) + 1
      return 0
    }
    return -1
  }
}
