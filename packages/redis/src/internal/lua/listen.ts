/**
 * `listen`: somebody reads events for the next half a minute. It answers on their channel, with the number of the last
 * message, by which a reader knows whether it heard that. Cost: four commands.
 */
export const listen = String.raw`
local number = call('HGET', P, 'en') or '0'
call('HSET', P, 'lu', string.format('%.0f', now + 30000))
call('PUBLISH', S .. ':e', TAG .. number)
return number
`
