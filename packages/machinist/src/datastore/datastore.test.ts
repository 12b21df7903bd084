import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMachinistError } from '@machinist/api'
import { Datastore } from '@machinist/host-node'
import { afterAll, expect, it, vi } from 'vitest'
import { openChoice, parseDisk } from '../disk-option.ts'
import { main } from '../main.ts'
import { parseDatastore } from './arguments.ts'

const root = mkdtempSync(join(tmpdir(), 'machinist-datastore-command-'))
afterAll(() => { rmSync(root, { recursive: true }) })
const folder = join(root, 'vms')

async function said(...args: string[]): Promise<{ readonly status: number, readonly out: string, readonly err: string }> {
  const text = { out: '', err: '' }
  const out = vi.spyOn(process.stdout, 'write').mockImplementation((piece) => { text.out += String(piece); return true })
  const err = vi.spyOn(process.stderr, 'write').mockImplementation((piece) => { text.err += String(piece); return true })
  try {
    return { status: await main(['datastore', ...args]), ...text }
  } finally {
    out.mockRestore()
    err.mockRestore()
  }
}

it('makes, clones, lists, resizes and deletes, and says what is wrong', async () => {
  expect(await said('create', folder, '--quota', '1G')).toEqual({ status: 0, out: '', err: '' })
  expect((await said('add', folder, 'debian', '20G')).status).toBe(0)
  expect((await said('clone', folder, 'debian', 'test')).status).toBe(0)
  expect((await said('resize', folder, 'test', '40G')).status).toBe(0)
  expect((await said('quota', folder, '2G')).status).toBe(0)
  const { out } = await said('list', folder)
  expect(out).toMatch(/^DISK {4}SIZE {4}TAKES +CLONE OF\ndebian {2}20 GiB {2}[\d.]+ KiB\ntest {4}40 GiB {2}[\d.]+ KiB +debian\n[\d.]+ KiB taken of 2 GiB\n$/)
  expect(JSON.parse((await said('list', folder, '--json')).out)).toMatchObject({ quota: 2 ** 31, disks: [{ name: 'debian', size: 20 * 2 ** 30, clones: ['test'] }, { name: 'test', base: 'debian' }] })
  const refused = await said('delete', folder, 'debian')
  expect(refused.status).toBe(1)
  expect(refused.err).toContain('other disks stand on it')
  expect((await said('delete', folder, 'test')).status).toBe(0)
  expect((await said('quota', folder, 'none')).status).toBe(0)
  expect((await said('list', folder)).out).toMatch(/KiB taken\n$/)
  expect((await said('list', join(root, 'none'))).err).toContain('there is no datastore')
  expect((await said('--help')).out).toContain('datastore clone')
})

it('understands its words', () => {
  for (const words of [[], ['make'], ['create'], ['create', 'a', 'b'], ['add', 'a', 'b', '0'], ['add', 'a', 'b', 'much'], ['list', 'a', '--quota', '1G'], ['create', 'a', '--quota', '-1'], ['delete', 'a', '']]) {
    expect(() => parseDatastore(words), words.join(' ')).toThrow(expect.objectContaining({ code: expect.stringMatching(/usage/) as string }) as Error)
  }
  expect(parseDatastore(['add', '--help'])).toBe(null)
})

it('disks of a datastore may be named behind --disk', async () => {
  const store = await Datastore.create(join(root, 'other'))
  await store.createDisk('data', 2 ** 20)
  const choice = parseDisk(`${store.folder},disk=data,full=wait,bps=1M`)
  expect(choice).toEqual({ path: store.folder, mode: 'rw', datastoreDisk: 'data', whenFull: 'wait', limits: { bytesPerSecond: 2 ** 20 } })
  const disk = await openChoice(choice)
  expect(disk.kind).toBe('block')
  void disk.close?.()
  for (const wrong of ['x,full=wait', 'x,disk=a,format=raw', 'x,disk=a,snapshot=b']) {
    let code = ''
    try {
      parseDisk(wrong)
    } catch (error) {
      if (isMachinistError(error)) ({ code } = error)
    }
    expect(code, wrong).toBe('usage')
  }
})
