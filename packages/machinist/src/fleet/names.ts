/** Names of machines, and of each step of a pool's path. */
export const NAME: RegExp = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
