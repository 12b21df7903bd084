/** Runs in a worker: makes the machine of the definition that it is sent, and answers with what came of it; or takes over a machine, runs it a while, and hands it back. */
import { parentPort } from 'node:worker_threads'
import { type HandedMachine, instantiate, instantiateHanded, type MachineDefinition } from '../src/index.ts'
import { fakeCpu } from '../src/testing/fake-cpu.ts'
import { gadget, hub } from '../src/testing/fake-devices.ts'
import { collector, sharedMemory, testHost } from './harness.ts'

const port = parentPort
if (port === null) throw new Error('not in a worker')
const catalogue = [fakeCpu, gadget, hub]
const next = <T>(): Promise<T> => new Promise((resolve) => { port.once('message', resolve) })

/** What it is sent. */
export type ToWorker = { readonly definition: MachineDefinition } | { readonly handed: HandedMachine; readonly slices: number; readonly known: boolean } | 'go'

async function takeOver({ handed, slices, known }: Extract<ToWorker, { readonly handed: unknown }>): Promise<void> {
  const console = collector()
  const host = testHost({ linearMemory: sharedMemory })
  try {
    const machine = instantiateHanded(handed, catalogue, host, known ? { backends: { 'gadget.console': console } } : {})
    port?.postMessage({ state: machine.state })
    await next<'go'>()
    machine.start({ drive: 'caller' })
    for (let n = 0; n < slices; n++) machine.runSlice(0)
    await machine.handOver(async (back) => {
      port?.postMessage({ text: console.text, back })
      await next<'go'>()
    })
  } catch (error) {
    port?.postMessage({ code: error instanceof Error && 'code' in error ? error.code : String(error) })
  }
}

void (async () => {
  for (;;) {
    const message = await next<Exclude<ToWorker, 'go'>>()
    if ('handed' in message) {
      await takeOver(message)
      continue
    }
    const console = collector()
    const host = testHost({ backend: (descriptor) => (descriptor === 'output' ? console : null) })
    const machine = instantiate(message.definition, catalogue, host)
    machine.start()
    host.turns()
    port.postMessage({ text: console.text, status: machine.status, state: machine.state })
  }
})()
