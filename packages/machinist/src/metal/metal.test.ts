import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { parseCommand } from '../arguments.ts'
import { metalProgram } from '../own-program.ts'
import { buildMetal } from './build.ts'
import { prepareTools } from './tools.ts'

let folder = ''
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'machinist-metal-')) })
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

describe('machinist metal build', () => {
  it('is understood', () => {
    const options = { file: 'fleet.json', output: 'x.img', quiet: false }
    expect(parseCommand(['metal', 'build', 'fleet.json', '-o', 'x.img'])).toEqual({ kind: 'metal', options })
    expect(parseCommand(['metal', 'build', '--arch', 'riscv64', '--output=x.img', '--quiet', 'fleet.json'])).toEqual({ kind: 'metal', options: { ...options, quiet: true } })
    expect(parseCommand(['metal', 'build', 'fleet.json', '-o', 'x.img', '--datastore', 'disks'])).toEqual({ kind: 'metal', options: { ...options, datastore: 'disks' } })
    expect(parseCommand(['metal', 'build', '--help'])).toEqual({ kind: 'help', topic: 'metal build' })
  })

  it.each([
    [[], 'metal'], [['make', 'a'], 'make'], [['build', '-o', 'x'], 'metal build'], [['build', '', '-o', 'x'], 'metal build'], [['build', 'a', 'b', '-o', 'x'], 'metal build'], [['build', 'a'], '--output'],
    [['build', 'a', '-o', ''], '--output'], [['build', 'a', '-o', './a'], '--output'], [['build', 'a.elf', '-o', 'a'], '--output'],
    [['build', 'a', '-o', 'x', '--datastore', ''], '--datastore'], [['build', 'a', '-o', 'x', '--datastore', 'x.elf'], '--datastore'], [['build', 'a', '-o', 'x', '--datastore', './a'], '--datastore'], [['build', 'a', '-o', 'x', '--arch', 'amd64'], '--arch'], [['build', 'a', '-o', 'x', '--harts', '2'], '--harts'],
  ])('refuses %j, naming %s', (args, part) => {
    expect(() => parseCommand(['metal', ...args])).toThrow(expect.objectContaining({ code: 'usage', message: expect.stringContaining(part) }))
  })

  it('refuses what an image does not have, before anything is fetched', async () => {
    const file = join(folder, 'fleet.json')
    writeFileSync(join(folder, 'kernel'), new Uint8Array(64))
    vi.stubEnv('PATH', folder)
    for (const wanted of [{ share: '.' }, { vsock: 'socket' }, { snapshots: 'vm' }]) {
      writeFileSync(file, JSON.stringify({ machines: { web: { kernel: 'kernel', ...wanted } } }))
      await expect(buildMetal({ file, output: join(folder, 'image') }), JSON.stringify(wanted)).rejects.toMatchObject({ code: 'metal-backend', part: expect.stringContaining('web.') })
    }
    writeFileSync(file, JSON.stringify({ machines: { web: { kernel: 'kernel' } } }))
    await expect(buildMetal({ file, output: join(folder, 'image') })).rejects.toMatchObject({ code: 'metal-tools' })
    await expect(buildMetal({ file: join(folder, 'none.json'), output: join(folder, 'image') })).rejects.toMatchObject({ code: 'file-enoent' })
    expect(existsSync(metalProgram())).toBe(true)
  })
})

describe('what compiles images', () => {
  /** Programs that say where they find their files, when those were installed; and an apt-get that installs, or fails. */
  function programs(apt: string): void {
    const script = (name: string, text: string): void => {
      writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`)
      chmodSync(join(folder, name), 0o755)
    }
    mkdirSync(join(folder, 'lib'))
    script('gcc', 'echo /lib/crt1.o')
    script('riscv64-unknown-elf-gcc', `[ "$1" = --version ] || [ -e ${folder}/lib/picolibc ] && echo /lib/picolibc.specs || echo picolibc.specs`)
    script('apt-get', `echo "$*" >> ${folder}/calls\n${apt}`)
    vi.stubEnv('PATH', folder)
  }
  const calls = (): string[] => (existsSync(join(folder, 'calls')) ? readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n') : [])

  it('is installed by root on Debian, once', async () => {
    programs(`[ "$5" != install ] || : > ${folder}/lib/picolibc`)
    const steps: string[] = []
    await prepareTools((step) => steps.push(step), { debian: true, root: true })
    const installed = ['-q -y -o APT::Status-Fd=3 update', '-q -y -o APT::Status-Fd=3 install --no-install-recommends picolibc-riscv64-unknown-elf']
    expect(calls()).toEqual(installed)
    expect(steps).toEqual(['Reading the list of packages of this system', 'Installing picolibc-riscv64-unknown-elf'])
    await prepareTools(undefined, { debian: true, root: true })
    expect(calls()).toEqual(installed)
  })

  it('is told when apt fails, and elsewhere', async () => {
    programs('echo "E: no network" >&2; exit 100')
    await expect(prepareTools(undefined, { debian: true, root: true })).rejects.toMatchObject({ code: 'metal-tools', value: expect.stringContaining('no network') })
    expect(calls()).toHaveLength(1)
    await expect(prepareTools(undefined, { debian: true, root: false })).rejects.toThrow('sudo apt-get install --no-install-recommends picolibc-riscv64-unknown-elf')
    vi.stubEnv('PATH', join(folder, 'lib'))
    await expect(prepareTools(undefined, { debian: false, root: true })).rejects.toMatchObject({ code: 'metal-tools', value: 'gcc libc6-dev gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf' })
    expect(calls()).toHaveLength(1)
  })
})
