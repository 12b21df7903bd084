import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { riscv } from '@machinist/cpu-riscv'
import { buildImage } from '@machinist/host-metal/build'
import { nodeHost } from '@machinist/host-node'
import { afterAll, expect, it } from 'vitest'
import { mayDiffer } from '../../../host-metal/test/hostile/compare.ts'
import { hostileMachine } from '../../../host-metal/test/hostile/machine.ts'
import { deeds, describeDeed, findings, program } from '../../../host-metal/test/hostile/program.ts'
import { bootImage } from '../../test/boot-image.ts'
import { prepareEngine } from './engine.ts'

const SEED = Number(process.env['MACHINIST_SEED'] ?? 1)
const DEEDS = 2000
const root = fileURLToPath(new URL('../../../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'machinist-hostile-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

it('a guest that does what nobody should finds on the metal what it finds on the software core, and the guest beside it notices nothing', async () => {
  const list = deeds(SEED, DEEDS)
  const machine = hostileMachine(riscv, nodeHost(), program(list))
  machine.start({ drive: 'caller' })
  for (let slice = 0; slice < 1000 && machine.state === 'running'; slice++) machine.runSlice(100_000)
  expect(machine.state).toBe('off')
  const ours = findings(list, (address, into) => machine.memory.read(address, into))

  const source = join(folder, 'program.ts')
  writeFileSync(source, `import { run } from '${root}packages/host-metal/test/programs/hostile.ts'\nrun(${SEED}, ${DEEDS})\n`)
  const { path } = await buildImage({ engine: await prepareEngine(), root, program: source, output: join(folder, 'image') })
  const lines = (await bootImage(path)).split('\n')
  const theirs = lines.filter((line) => /^(?:a0=|memory )/.test(line))
  expect(lines.slice(-4)).toEqual([ours.at(-1), 'off', 'the other goes on', ''])
  expect(theirs).toHaveLength(ours.length)
  const wrong = list.flatMap((deed, index) => {
    const [core = '', metal = ''] = [ours[index], theirs[index]]
    return core === metal || mayDiffer(deed, core, metal) ? [] : [`${index}: ${describeDeed(deed)}\n  core  ${core}\n  metal ${metal}`]
  })
  expect(wrong).toEqual([])
  // Not all of it was refused: half of the deeds at most.
  expect(theirs.filter((line) => line.includes('cause=0 ')).length).toBeGreaterThan(DEEDS / 4)
})
