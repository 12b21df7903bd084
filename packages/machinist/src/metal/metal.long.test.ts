import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildImage, type Image } from '@machinist/host-metal/build'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bootImage } from '../../test/boot-image.ts'
import { prepareEngine } from './engine.ts'

const root = fileURLToPath(new URL('../../../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'machinist-metal-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

let engine = ''
beforeAll(async () => { engine = await prepareEngine() })

function build(program: string): Promise<Image> {
  return buildImage({ engine, root, program: join(root, 'packages/host-metal', program), output: join(folder, program.replace(/\W+/g, '-')) })
}

describe('an image for bare metal', () => {
  it('mends the engine, checks what the kernel is given, and shows where in the TypeScript an exception was thrown', async () => {
    const text = await bootImage((await build('test/programs/engine.ts')).path)
    expect(text).not.toContain('wrong')
    expect(text.split('\n').filter((line) => !line.startsWith('    at'))).toEqual(['machinist: nobody handled Error: nobody cared', 'checked', '', 'machinist: uncaught TypeError: the end', ''])
    const fall = /at fall \(packages\/host-metal\/test\/programs\/engine\.ts:(\d+):\d+\)/g
    expect([...text.matchAll(fall)]).toHaveLength(3)
    expect(text).toMatch(/nobody cared\n {4}at .*programs\/engine\.ts:\d+/)
  })

  it('runs a guest until it exits', async () => {
    const text = await bootImage((await build('test/programs/guest.ts')).path)
    expect(text.split('\n').slice(0, 6)).toEqual([
      'access pc=80000000 address=80000000 width=0 access=2 value=0 cause=20 a0=0:0',
      'access pc=80000004 address=10000000 width=1 access=1 value=0 cause=23 a0=0:0',
      'access pc=80000008 address=10000000 width=4 access=0 value=0 cause=21 a0=0:0',
      'ecall pc=80000010 address=10000000 width=4 access=0 value=80000001 cause=21 a0=80000001:ffffffff',
      'wait pc=80000014 address=10000000 width=4 access=0 value=80000001 cause=21 a0=80000001:ffffffff',
      'time pc=80000014 address=10000000 width=4 access=0 value=80000001 cause=21 a0=80000001:ffffffff',
    ])
  })

  it('refuses a source that is not the engine it knows', async () => {
    await expect(buildImage({ engine: join(root, 'packages/host-metal/native/engine'), program: 'x.ts', output: join(folder, 'x'), root })).rejects.toMatchObject({ code: 'metal-engine' })
  })
})
