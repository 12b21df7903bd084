/** A hypervisor in the background, of machines that are none; see daemon.test.ts. */
import { isMachinistError } from '@machinist/api'
import { runDaemon } from '../src/index.ts'
import { FakeHypervisor } from './fake-hypervisor.ts'

try {
  const daemon = await runDaemon({ version: 'test', make: () => new FakeHypervisor() })
  process.on('SIGTERM', () => { void daemon.shutDown() })
  await daemon.closed
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = isMachinistError(error) && error.code === 'daemon-runs' ? 3 : 1
}
