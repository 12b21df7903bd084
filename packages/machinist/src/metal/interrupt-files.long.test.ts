import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { riscv } from '@machinist/cpu-riscv'
import { buildImage, type Image } from '@machinist/host-metal/build'
import { nodeHost } from '@machinist/host-node'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { mayDiffer } from '../../../host-metal/test/hostile/compare.ts'
import { fileDeeds } from '../../../host-metal/test/hostile/interrupt-file.ts'
import { hostileMachine } from '../../../host-metal/test/hostile/machine.ts'
import { describeDeed, findings, program } from '../../../host-metal/test/hostile/program.ts'
import { bootImage } from '../../test/boot-image.ts'
import { prepareEngine } from './engine.ts'

const SEED = Number(process.env['MACHINIST_SEED'] ?? 1)
const DEEDS = 1000
/** As QEMU has them, and others. */
const SIZES = [255, 127]
const root = fileURLToPath(new URL('../../../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'machinist-files-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

const list = fileDeeds(SEED, DEEDS)

/** What the software core finds. */
function onCore(identities: number): readonly string[] {
  const machine = hostileMachine(riscv, nodeHost(), program(list), 'core', identities)
  machine.start({ drive: 'caller' })
  for (let slice = 0; slice < 1000 && machine.state === 'running'; slice++) machine.runSlice(100_000)
  expect(machine.state).toBe('off')
  return findings(list, (address, into) => machine.memory.read(address, into))
}

let image: Image
let core: readonly (readonly string[])[] = []
beforeAll(async () => {
  core = SIZES.map(onCore)
  const source = join(folder, 'program.ts')
  writeFileSync(source, `import { run } from '${root}packages/host-metal/test/programs/aia.ts'\nrun(${SEED}, ${DEEDS}, [${SIZES.join()}])\n`)
  image = await buildImage({ engine: await prepareEngine(), root, program: source, output: join(folder, 'image') })
})

it.each([
  ['a PLIC', 'virt', 0, 0],
  ['interrupt files, none of them for guests', 'virt,aia=aplic-imsic', 255, 0],
  ['guest interrupt files', 'virt,aia=aplic-imsic,aia-guests=1', 255, 255],
])('on a board with %s, guests find in their interrupt files what they find on the software core, and nothing where they have none', async (_, machine, identities, guestIdentities) => {
  const lines = (await bootImage(image.path, { machine })).split('\n')
  expect(lines[0]).toBe(`identities ${identities}, of guests ${guestIdentities}`)
  const starts = SIZES.map((size) => lines.indexOf(`with ${size}`) + 1)
  for (const [which, start] of starts.entries()) {
    const theirs = lines.slice(start, start + DEEDS)
    const wrong = list.flatMap((deed, index) => {
      const [ours = '', metal = ''] = [core[which]?.[index], theirs[index]]
      return ours === metal || mayDiffer(deed, ours, metal) ? [] : [`${index}: ${describeDeed(deed)}\n  core  ${ours}\n  metal ${metal}`]
    })
    expect(wrong).toEqual([])
    expect(theirs.filter((line) => line.includes('cause=0 ')).length).toBeGreaterThan(DEEDS / 2)
  }
  // A line for a guest; the log has one more than the cause: illegal instructions. Without AIA there is no siselect either.
  const none = identities === 0 ? ['a0=0 cause=3', 'a0=9 cause=3'] : ['a0=0 cause=0', 'a0=0 cause=0']
  expect(lines.slice(-3)).toEqual([`${none[0]}, a0=9 cause=3, a0=9 cause=3`, none[1], ''])
})
