import { openSnapshot, type SnapshotInput } from '@machinist/snapshot'
import { beforeEach, expect, it, vi } from 'vitest'
import { counting, input, run, written } from '../../../snapshot/test/counting.ts'
import { snapshotCodec } from './codec.ts'
import { openBrowserSnapshot } from './open.ts'

const files = new Map<string, Uint8Array>()
let asked: string[] = []

/** A server of the files, as both kinds of requests see it. */
function answer(url: string, range: string): { readonly status: number; readonly headers: Record<string, string>; readonly bytes: Uint8Array } {
  asked.push(new URL(url).pathname)
  const file = files.get(new URL(url).pathname)
  if (file === undefined) return { status: 404, headers: {}, bytes: new Uint8Array() }
  const [, from = 0, to = 0] = /^bytes=(\d+)-(\d+)$/.exec(range)?.map(Number) ?? []
  const bytes = file.slice(from, to + 1)
  return { status: 206, headers: { 'content-range': `bytes ${from}-${from + bytes.length - 1}/${file.length}` }, bytes }
}

class WaitingRequest {
  #url = ''
  #range = ''
  #answer = answer('http://localhost/none', '')
  get status(): number { return this.#answer.status }
  get response(): ArrayBuffer { return this.#answer.bytes.slice().buffer as ArrayBuffer }
  open(_: string, url: string): void { this.#url = url }
  setRequestHeader(_: string, value: string): void { this.#range = value }
  getResponseHeader(name: string): string | null { return this.#answer.headers[name] ?? null }
  send(): void { this.#answer = answer(this.#url, this.#range) }
}

beforeEach(async () => {
  vi.stubGlobal('XMLHttpRequest', WaitingRequest)
  vi.stubGlobal('location', { origin: 'http://localhost' })
  vi.stubGlobal('fetch', (url: string, { headers: { range } }: { readonly headers: { readonly range: string } }) => {
    const { status, headers, bytes } = answer(url, range)
    return Promise.resolve(new Response(bytes as Uint8Array<ArrayBuffer>, { status, headers }))
  })
  files.clear()
  const machine = counting()
  machine.start({ drive: 'caller' })
  let before: string | null = null
  const at = (name: string): SnapshotInput => ({ ...input(files.get(`/saved/${name}`) ?? new Uint8Array()), name })
  for (const name of ['a', 'b', 'c']) {
    run(machine, 3)
    const parent = before === null ? undefined : { file: before, snapshot: openSnapshot(at(before), snapshotCodec, { openParent: (_, file) => at(file) }) }
    files.set(`/saved/${name}`, await written(machine, undefined, parent && { parent }))
    parent?.snapshot.close()
    before = name
  }
  machine.dispose()
  asked = []
  return () => { vi.unstubAllGlobals() }
})

const open = (url: string): ReturnType<typeof openBrowserSnapshot> => openBrowserSnapshot(url, { base: 'http://localhost/', files: {} })

it('a file of a server has those that it stands on, each loaded once', async () => {
  const { stored, ahead } = await open('/saved/c')
  expect(stored.parents).toEqual(['b', 'a'])
  await ahead()
  expect(asked).toEqual(['/saved/c', '/saved/b', '/saved/a'])
  stored.close()
})

it('one that stands on what is missing, or damaged, is refused', async () => {
  const [a = new Uint8Array()] = [files.get('/saved/a')]
  files.set('/saved/a', a.map((byte, at) => at === 20 ? byte ^ 1 : byte))
  await expect(open('/saved/c')).rejects.toMatchObject({ code: expect.stringMatching(/^snapshot-(damaged|parent)$/) as string })
  files.delete('/saved/a')
  await expect(open('/saved/c')).rejects.toMatchObject({ code: 'snapshot-parent' })
  await expect(open('/saved/none')).rejects.toMatchObject({ code: 'snapshot-load' })
})
