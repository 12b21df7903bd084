import type { Machine } from '@machinist/machine'

/** Runs a machine to its end and disposes of it; all the while its devices are saved and restored, in the middle of their work. Tells how often. */
export async function runInterrupted(machine: Machine): Promise<{ readonly error: Error | null; readonly restores: number }> {
  machine.start()
  let restores = 0
  const interruption = setInterval(() => {
    machine.restoreDevices(machine.saveDevices())
    restores += 1
  }, 50)
  const { error } = await machine.finished()
  clearInterval(interruption)
  machine.dispose()
  return { error, restores }
}
