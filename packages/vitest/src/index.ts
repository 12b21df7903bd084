export { type GuestFixtures, guestTest, type GuestTestOptions } from './fixture.ts'
