/** Prisma, as a program imports it. Apart from the recipe: it brings an older `effect` of its own. */
export { PrismaPg } from "@prisma/adapter-pg"
export { PrismaClient } from "./generated/client.ts"
