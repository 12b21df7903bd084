import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildImage, type Image } from '@machinist/host-metal/build'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bitsOf, exact, functions, inputs } from '../../../host-metal/test/numbers.ts'
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

  it('computes as other engines do: to the last bit where that is defined, else as near as they are to each other', async () => {
    const lines = (await bootImage((await build('test/programs/numbers.ts')).path)).split('\n').map((line) => line.split(' '))
    const place = (bits: string): bigint => {
      const value = BigInt(`0x${bits}`)
      return value >> 63n === 0n ? value : -(value & (2n ** 63n - 1n))
    }
    const wrong = functions.flatMap(([name, call]) => {
      const [, ...results] = lines.find(([first]) => first === name) ?? []
      return inputs().flatMap(([x, y], index) => {
        const [have = 'nothing', want] = [results[index], bitsOf(call(x, y))]
        const near = have === want || (!exact.includes(name) && /^[0-9a-f]{16}$/.test(have) && want !== 'nan' && (place(have) - place(want)) ** 2n <= 16n)
        return near ? [] : [`${name}(${String(x)}, ${String(y)}) is ${have}, not ${want}`]
      })
    })
    expect(wrong).toEqual([])
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

  it('runs two harts of a guest on two harts of the hardware', async () => {
    // The guest is assembled, and a program made that has it.
    const [object, binary, program] = [join(folder, 'harts.o'), join(folder, 'harts.bin'), join(folder, 'harts.ts')]
    const source = join(root, 'packages/host-metal/test/programs/harts')
    execFileSync('riscv64-unknown-elf-gcc', ['-march=rv64g', '-mabi=lp64d', '-nostdlib', '-Wl,-Ttext=0x80000000', '-o', object, `${source}.S`])
    execFileSync('riscv64-unknown-elf-objcopy', ['-O', 'binary', object, binary])
    const bytes = readFileSync(binary)
    const words = Array.from({ length: Math.floor(bytes.length / 4) }, (_, i) => bytes.readUInt32LE(4 * i))
    writeFileSync(program, `import { run } from '${source}.ts'\nrun([${words.join()}])\n`)
    const image = await buildImage({ engine, root, program, output: join(folder, 'harts') })
    const text = await bootImage(image.path, { harts: 2 })
    expect(text.split('\n').slice(0, 3)).toEqual(['IPIs and fences work, with many exits', 'pages that were taken away are not seen', 'done'])
  })

  it('maps for guests what their page maps say and nothing else, below and above 4 GiB, whatever is done to their memory', async () => {
    const text = await bootImage((await build('test/programs/memory.ts')).path, { memory: '8G' })
    expect(text.split('\n').slice(0, 2)).toEqual([expect.stringMatching(/^4 arenas, [34] above 4 GiB$/), 'tables lead where page maps say'])
  })

  it('shows where the kernel crashed, who called, and the registers', async () => {
    const { path } = await build('test/programs/crash.ts')
    const symbols = execFileSync('riscv64-unknown-elf-nm', [`${path}.elf`], { encoding: 'utf8' })
    const address = (name: string): number => Number(`0x${new RegExp(`^([0-9a-f]+) . ${name}$`, 'm').exec(symbols)?.[1] ?? ''}`)
    const image = readFileSync(path)
    image.writeUInt32LE(0x0000_2003 /* lw zero, 0(zero) */, address('native_fence') - address('image_start'))
    writeFileSync(path, image)
    const text = await bootImage(path)
    expect(text).toMatch(/^before\n\nmachinist: the kernel crashed on hart 0\n {4}at 0{8}[0-9a-f]{8} {2}native_fence\+0\n(?: {4}by .*\n)+/)
    expect(text).toContain('  JS_CallInternal+')
    expect(text).toMatch(/by 0{8}[0-9a-f]{8} {2}kernel_main\+\d+\n {4}by 0{8}[0-9a-f]{8} {2}start\+\d+\n {4}scause 0{15}5 {2}stval 0{16} /)
    expect(text.match(/ [ast]\d+ {1,2}[0-9a-f]{16}/g)).toHaveLength(27)
    expect(text).not.toContain('wrong')
  })

  it('refuses a source that is not the engine it knows', async () => {
    await expect(buildImage({ engine: join(root, 'packages/host-metal/native/engine'), program: 'x.ts', output: join(folder, 'x'), root })).rejects.toMatchObject({ code: 'metal-engine' })
  })
})
