/** A program that replays a recording, and writes how that ended, and a digest of the machine; see record.long.test.ts. */
import { microvmCatalogue, virtCatalogue } from '@machinist/boards'
import { nodeHost, openRecordingFile } from '@machinist/host-node'
import { replayMachine } from '@machinist/snapshot'
import { machineDigest } from './digest.ts'

const [, , path = '', architecture] = process.argv
const recording = openRecordingFile(path)
const machine = replayMachine(recording, architecture === 'riscv64' ? virtCatalogue : microvmCatalogue, nodeHost())
machine.start()
const { status, error } = await machine.finished()
process.stdout.write(JSON.stringify({ status, error: error?.message ?? null, replay: machine.replay, retired: machine.stats.retired, digest: machineDigest(machine) }))
machine.dispose()
recording.close()
