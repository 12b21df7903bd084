/** Runs in a worker: boots a machine, types for it, hands it over, and takes over what it is handed; see move.long.test.ts. */
import { parentPort } from 'node:worker_threads'
import { virtCatalogue } from '@machinist/boards'
import { collector, nodeHost } from '@machinist/host-node'
import { type HandedMachine, instantiate, instantiateHanded, type Machine, type MachineDefinition } from '@machinist/machine'
import { machineDigest, runTo } from './digest.ts'

/** What it is told. `to`: how far a machine of counted time is run. */
export type ToMover =
  | { readonly kind: 'boot'; readonly definition: MachineDefinition; readonly to: number | null }
  | { readonly kind: 'type'; readonly text: string }
  | { readonly kind: 'move'; readonly copy: boolean; readonly to: number | null }
  | { readonly kind: 'take'; readonly handed: HandedMachine }
  | { readonly kind: 'taken' | 'failed' | 'digest' }

/** What it says. Times are milliseconds since 1970. */
export type FromMover =
  | { readonly kind: 'said'; readonly text: string }
  | { readonly kind: 'handed'; readonly handed: HandedMachine; readonly at: number }
  | { readonly kind: 'left' | 'stays' | 'ready' }
  | { readonly kind: 'taken'; readonly at: number; readonly cpu: number }
  | { readonly kind: 'digest'; readonly digest: string }

const port = parentPort
if (port === null) throw new Error('not in a worker')
const post = (message: FromMover): void => { port.postMessage(message) }
const now = (): number => performance.timeOrigin + performance.now()

let machine: Machine | null = null
let line = collector()
let said = 0
const say = (): void => {
  const text = line.text()
  if (text.length > said) post({ kind: 'said', text: text.slice(said) })
  said = text.length
}
setInterval(say, 5).unref()
let answered: (how: 'taken' | 'failed') => void = () => {}

function begin(made: Machine): void {
  machine = made
  if (made.resolved.definition.time === 'real') made.start()
}

async function move(copy: boolean): Promise<void> {
  const at = now()
  const leaving = machine?.handOver((handed) => {
    say()
    post({ kind: 'handed', handed, at })
    return new Promise<void>((resolve, reject) => {
      answered = (how) => {
        if (how === 'taken') resolve()
        else reject(new Error('it failed'))
      }
    })
  }, copy ? { copy: { exact: true } } : {})
  try {
    await leaving
    post({ kind: copy ? 'stays' : 'left' })
  } catch {
    post({ kind: 'stays' })
  }
}

port.on('message', (message: ToMover) => {
  if (message.kind === 'boot') {
    begin(instantiate(message.definition, virtCatalogue, nodeHost(), { backends: new Map([['uart0.console', line]]) }))
    if (message.to !== null && machine !== null) runTo(machine, message.to)
    post({ kind: 'ready' })
  } else if (message.kind === 'type') line.type(message.text)
  else if (message.kind === 'move') {
    if (message.to !== null && machine !== null) runTo(machine, message.to)
    void move(message.copy)
  } else if (message.kind === 'take') {
    const before = process.cpuUsage()
    say()
    line = collector()
    said = 0
    const taken = instantiateHanded(message.handed, virtCatalogue, nodeHost(), { backends: { 'uart0.console': line } })
    const { user, system } = process.cpuUsage(before)
    const at = now()
    begin(taken)
    post({ kind: 'taken', at, cpu: (user + system) / 1000 })
  } else if (message.kind === 'digest') post({ kind: 'digest', digest: machine === null ? '' : machineDigest(machine) })
  else if (message.kind === 'taken' || message.kind === 'failed') answered(message.kind)
})
