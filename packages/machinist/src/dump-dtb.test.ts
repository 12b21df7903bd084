import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fdtStrings, fdtText, parseFdt } from '@machinist/boot'
import { afterAll, afterEach, expect, it, vi } from 'vitest'
import { main } from './main.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-dtb-'))
afterAll(() => { rmSync(folder, { recursive: true }) })
afterEach(() => { vi.restoreAllMocks() })

it('the device tree of a machine is written, as a blob and as source, and the machine does not run', async () => {
  // RISC-V: a loop.
  const code = join(folder, 'code.bin')
  writeFileSync(code, Uint8Array.of(0x6f, 0, 0, 0))
  const machine = ['--firmware', 'none', '--kernel', code, '--harts', '2', '--memory', '128M', '--append', 'hello=1', '--net', 'none']
  const [blob, source] = [join(folder, 'tree.dtb'), join(folder, 'tree.DTS')]
  let printed = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text)
    return true
  })
  vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  for (const path of [blob, source, '-']) expect(await main([...machine, '--dump-dtb', path]), path).toBe(0)
  const tree = parseFdt(readFileSync(blob))
  expect(fdtStrings(tree.find('/chosen')?.properties.get('bootargs'))).toEqual(['hello=1'])
  expect(tree.find('/cpus')?.children.filter(({ name }) => name.startsWith('cpu@'))).toHaveLength(2)
  expect(readFileSync(source, 'utf8')).toBe(fdtText(tree))
  expect(printed).toBe(fdtText(tree))
  expect(await main([...machine, '--dump-dtb', join(folder, 'none/tree.dtb')])).toBe(1)
})
