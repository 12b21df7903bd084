/** Runs in a worker: makes the machine of the definition that it is sent, and answers with what came of it. */
import { parentPort } from 'node:worker_threads'
import { instantiate, type MachineDefinition } from '../src/index.ts'
import { fakeCpu } from './fake-cpu.ts'
import { gadget, hub } from './fake-devices.ts'
import { collector, testHost } from './harness.ts'

parentPort?.once('message', (definition: MachineDefinition) => {
  const console = collector()
  const host = testHost({ backend: (descriptor) => (descriptor === 'output' ? console : null) })
  const machine = instantiate(definition, [fakeCpu, gadget, hub], host)
  machine.start()
  host.turns()
  parentPort?.postMessage({ text: console.text, status: machine.status, state: machine.state })
})
