import { guestTest } from '../../src/index.ts'

let boots = 0
export const test: ReturnType<typeof guestTest> = guestTest({
  async setUp(guest) {
    await guest.write('/boots', String(++boots))
  },
})
