import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { exportDisk, importDisk, keptDisks, removeDisk } from './private-files.ts'

/** A private file system in memory: what of the browser's is used (File System, 2). */
class Files {
  readonly bytes = new Map<string, Uint8Array>()
  readonly locked = new Set<string>()
  /** What the next write fails with. */
  failure: string | null = null

  readonly #entry = (name: string): object => ({
    name,
    getFile: () => Promise.resolve(new Blob([new Uint8Array(this.bytes.get(name) ?? [])])),
    createWritable: ({ keepExistingData }: { readonly keepExistingData: boolean }) => {
      if (this.locked.has(name)) return Promise.reject(named('NoModificationAllowedError'))
      this.locked.add(name)
      const written: Uint8Array[] = keepExistingData ? [this.bytes.get(name) ?? new Uint8Array()] : []
      return Promise.resolve({
        write: async (blob: Blob) => {
          written.push(new Uint8Array(await blob.slice(0, this.failure === null ? blob.size : blob.size / 2).arrayBuffer()))
          if (this.failure !== null) throw named(this.failure)
        },
        close: () => {
          this.bytes.set(name, new Uint8Array(Buffer.concat(written)))
          this.locked.delete(name)
          return Promise.resolve()
        },
        abort: () => {
          this.locked.delete(name)
          return Promise.resolve()
        },
      })
    },
  })

  getDirectory = (): Promise<object> => Promise.resolve({
    getDirectoryHandle: () => Promise.resolve({
      getFileHandle: (name: string, { create }: { readonly create: boolean }) => {
        if (!this.bytes.has(name) && !create) return Promise.reject(named('NotFoundError'))
        if (!this.bytes.has(name)) this.bytes.set(name, new Uint8Array())
        return Promise.resolve(this.#entry(name))
      },
      removeEntry: (name: string) => this.bytes.delete(name) ? Promise.resolve() : Promise.reject(named('NotFoundError')),
      values: async function* (this: Files) {
        await Promise.resolve()
        for (const name of this.bytes.keys()) yield this.#entry(name)
      }.bind(this),
    }),
  })
}

const named = (name: string): Error => Object.assign(new Error('no'), { name })

function image(fill: number): Blob {
  const bytes = new Uint8Array(1000).fill(fill)
  bytes.set([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3])
  return new Blob([bytes])
}

let files: Files

beforeEach(() => {
  files = new Files()
  vi.stubGlobal('navigator', { storage: files })
})

afterEach(() => { vi.unstubAllGlobals() })

test('a disk is imported, listed, exported and removed', async () => {
  await importDisk('mine', image(1))
  expect(await keptDisks()).toEqual([{ name: 'mine', size: 1000 }])
  expect(await (await exportDisk('mine')).bytes()).toEqual(await image(1).bytes())
  await removeDisk('mine')
  expect(await keptDisks()).toEqual([])
  await expect(exportDisk('mine')).rejects.toMatchObject({ code: 'file-enoent' })
})

test.each([['QuotaExceededError', 'file-enospc'], ['NotReadableError', 'file-private']])('an import that fails half-way with a %s leaves what was there', async (failure, code) => {
  await importDisk('old', image(1))
  files.failure = failure
  for (const name of ['old', 'new']) await expect(importDisk(name, image(2))).rejects.toMatchObject({ code, part: name })
  expect([...files.bytes.keys()]).toEqual(['old.qcow2'])
  files.failure = null
  expect(await (await exportDisk('old')).bytes()).toEqual(await image(1).bytes())
  await importDisk('old', image(3))
  expect(await (await exportDisk('old')).bytes()).toEqual(await image(3).bytes())
})

test('what is no image, has no name, or belongs to a machine is refused, and changes nothing', async () => {
  for (const blob of [new Blob([]), new Blob(['QFI']), new Blob([new Uint8Array(5000)])]) await expect(importDisk('mine', blob)).rejects.toMatchObject({ code: 'image-format' })
  for (const name of ['', '../x', 'a/b', '.hidden', 'x'.repeat(65)]) await expect(importDisk(name, image(1))).rejects.toMatchObject({ code: 'disk-name' })
  expect(files.bytes.size).toBe(0)
  await importDisk('mine', image(1))
  files.locked.add('mine.qcow2')
  await expect(importDisk('mine', image(2))).rejects.toMatchObject({ code: 'file-locked' })
  await expect(exportDisk('mine')).rejects.toMatchObject({ code: 'file-locked' })
  files.locked.clear()
  expect(await (await exportDisk('mine')).bytes()).toEqual(await image(1).bytes())
})
