import { expect } from 'vitest'
import { test } from './shared.ts'

test('fails', async ({ guest, fork }) => {
  const web = await fork({ name: 'web' })
  await web.exec('echo from-web; echo problem >&2; exit 3')
  guest.console.type('echo at-the-$((40 + 2))-console\n')
  await guest.console.expect('at-the-42-console')
  await guest.exec('touch /mark')
  expect(await guest.text('cat /boots')).toBe('an assertion')
})

test('takes too long', async ({ guest }) => {
  await guest.exec('echo begun; sleep 1000')
}, 5000)

test('passes', async ({ guest, bootedGuest }) => {
  expect(await guest.text('ls /mark /boots || true')).toBe('/boots')
  expect(bootedGuest.machine.state).toBe('paused')
})
