export { buildHostEngine } from './host-engine.ts'
export type { HostEngineOptions } from './host-engine.ts'
export { buildImage } from './image.ts'
export type { Image, ImageOptions } from './image.ts'
