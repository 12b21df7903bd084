import { fork } from 'node:child_process'

/**
 * Starts the host's end of the rows of the network; resolves with the ports of the one that takes and the one that gives. It ends with this process.
 * @param {number} blocks what it gives to whoever asks, in blocks of 64 KiB
 * @returns {Promise<{ takes: number, gives: number }>}
 */
export async function hostPeer(blocks) {
  const child = fork(new URL('peer.mjs', import.meta.url), [String(blocks)])
  const [takes, gives] = /** @type {[number, number]} */ (await new Promise((done, failed) => {
    child.once('message', done)
    child.once('exit', () => { failed(new Error('bench: the peer of the rows of the network ended')) })
  }))
  child.removeAllListeners()
  child.unref()
  child.channel?.unref()
  return { takes, gives }
}
