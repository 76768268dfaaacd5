/** The client is made from the schema alone: no database is asked. */
export default { schema: "schema.prisma" }
