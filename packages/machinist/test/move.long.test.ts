/** A booted guest goes to and fro between two workers while it works. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { virt } from '@machinist/boards'
import { collector } from '@machinist/host-node'
import type { MachineDefinition } from '@machinist/machine'
import { buildSync } from 'esbuild'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { guestCommandLine, prepareGuest } from '../src/index.ts'
import type { FromMover, ToMover } from './move-worker.ts'

/** A worker, and what it said. */
class Mover {
  readonly #worker: Worker
  #waiting: { readonly kind: FromMover['kind']; readonly found: (message: FromMover) => void }[] = []
  /** What guests of all workers said, in order. */
  static text = ''

  constructor(program: string) {
    this.#worker = new Worker(program)
    this.#worker.on('error', (error) => { throw error })
    this.#worker.on('message', (message: FromMover) => {
      if (message.kind === 'said') Mover.text += message.text
      const at = this.#waiting.findIndex(({ kind }) => kind === message.kind)
      if (at >= 0) this.#waiting.splice(at, 1)[0]?.found(message)
    })
  }

  tell(message: ToMover): void {
    this.#worker.postMessage(message)
  }

  ask<Kind extends FromMover['kind']>(message: ToMover, kind: Kind): Promise<Extract<FromMover, { readonly kind: Kind }>> {
    const answer = new Promise<Extract<FromMover, { readonly kind: Kind }>>((resolve) => {
      this.#waiting.push({ kind, found: (found) => { resolve(found as Extract<FromMover, { readonly kind: Kind }>) } })
    })
    this.tell(message)
    return answer
  }

  async said(what: RegExp): Promise<void> {
    while (!what.test(Mover.text)) await new Promise((resolve) => { setTimeout(resolve, 10) })
  }

  end(): Promise<number> {
    return this.#worker.terminate()
  }
}

/** Has the machine of one worker go on in another; for how long nothing ran, and the other's CPU time, in milliseconds. */
async function move(from: Mover, to: Mover, copy: boolean, at: number | null = null): Promise<{ readonly pause: number; readonly cpu: number }> {
  const { handed, at: began } = await from.ask({ kind: 'move', copy, to: at }, 'handed')
  const { at: ended, cpu } = await to.ask({ kind: 'take', handed }, 'taken')
  await from.ask({ kind: 'taken' }, copy ? 'stays' : 'left')
  return { pause: ended - began, cpu }
}

let folder = ''
let program = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'machinist-move-'))
  program = join(folder, 'mover.mjs')
  buildSync({ entryPoints: [join(import.meta.dirname, 'move-worker.ts')], outfile: program, bundle: true, platform: 'node', format: 'esm', target: 'node20', conditions: ['@machinist/source'], logLevel: 'error', external: ['koffi'] })
})
const movers: Mover[] = []
afterAll(async () => {
  await Promise.all(movers.map((each) => each.end()))
  rmSync(folder, { recursive: true })
})
const mover = (): Mover => {
  const made = new Mover(program)
  movers.push(made)
  return made
}

async function definition(time: MachineDefinition['time']): Promise<MachineDefinition> {
  const { kernel, initrd } = await prepareGuest()
  const blueprint = virt({ console: collector(), kernel: readFileSync(kernel), initrd: readFileSync(initrd), append: guestCommandLine({ console: 'ttyS0', quiet: true }), time })
  return blueprint.definition
}

it('a guest goes to and fro between two workers while a command runs, and nothing of it is lost', async () => {
  const [one, two] = [mover(), mover()]
  await one.ask({ kind: 'boot', definition: await definition('real'), to: null }, 'ready')
  await one.said(/# /)
  one.tell({ kind: 'type', text: "stty -echo; PS1=''; echo re''ady\n" })
  await one.said(/ready/)
  Mover.text = ''
  one.tell({ kind: 'type', text: "i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo line $i $(sha256sum /bin/busybox | cut -c1-8); done; echo do''ne\n" })
  await one.said(/line 3 /)
  const figures: { pause: number; cpu: number }[] = []
  let [from, to] = [one, two]
  for (let n = 0; n < 12; n++) {
    figures.push(await move(from, to, false))
    ;[from, to] = [to, from]
    const before = Mover.text.length
    while (Mover.text.length < before + 100) await new Promise((resolve) => { setTimeout(resolve, 5) })
  }
  // One that the other cannot have goes on.
  await from.ask({ kind: 'move', copy: false, to: null }, 'handed')
  await from.ask({ kind: 'failed' }, 'stays')
  await from.said(/done/)
  const lines = [...Mover.text.matchAll(/line (\d+) ([0-9a-f]{8})\r\n/g)]
  expect(new Set(lines.map(([, , sum]) => sum)).size).toBe(1)
  expect(lines.map(([, number]) => Number(number))).toEqual(Array.from({ length: 400 }, (_, n) => n + 1))
  process.stderr.write(`moves: pause ${figures.map(({ pause }) => pause.toFixed(0)).join(' ')} ms, CPU ${figures.map(({ cpu }) => cpu.toFixed(0)).join(' ')} ms\n`)
})

it('a boot of counted time that moves at odd moments is bit for bit one that stays', async () => {
  const seed = Number(process.env['MACHINIST_SEED'] ?? 7)
  let state = seed
  const below = (most: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return Math.floor(state / 2 ** 32 * most)
  }
  const [one, two, still] = [mover(), mover(), mover()]
  const booted = await definition({ instructionsPerSecond: 1e9 })
  let at = 20_000_000 + below(50_000_000)
  await Promise.all([one, still].map((each) => each.ask({ kind: 'boot', definition: booted, to: at }, 'ready')))
  let [from, to] = [one, two]
  for (let n = 0; n < 6; n++) {
    await move(from, to, n === 2, at)
    ;[from, to] = [to, from]
    at += 1 + below(150_000_000)
  }
  // Both go to the same turn.
  const digests: string[] = []
  for (const each of [from, still]) {
    await each.ask({ kind: 'move', copy: false, to: at }, 'handed')
    await each.ask({ kind: 'failed' }, 'stays')
    digests.push((await each.ask({ kind: 'digest' }, 'digest')).digest)
  }
  expect(digests[0]).toBe(digests[1])
})
