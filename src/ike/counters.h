/*
 * counters.h - every counter of the engine: one row each, name as operators see it.
 *
 * `ike.rx.<fault>` of the parser come from wire_fault_name() and are kept beside these.
 */
#pragma once

#define IKE_COUNTER_TABLE(X)                                                                       \
	X(C_RX_DATAGRAMS, "ike.rx.datagrams")                                                      \
	X(C_TX_DATAGRAMS, "ike.tx.datagrams")                                                      \
	X(C_TX_RETRANSMITS, "ike.tx.retransmits")                                                  \
	X(C_TX_FRAGMENTS, "ike.tx.fragments") /* made; each may be sent several times */           \
	X(C_TX_REFRAGMENTED, "ike.tx.refragmented") /* messages cut smaller than before */         \
	X(C_TX_KEEPALIVES, "ike.tx.keepalives")                                                    \
	/* dropped before any SA was found */                                                      \
	X(C_NO_PORT, "ike.rx.no_port") /* from port 0 */                                           \
	X(C_UNKNOWN_SPI, "ike.rx.unknown_spi")                                                     \
	X(C_BAD_INIT, "ike.rx.bad_init") /* IKE_SA_INIT with impossible SPIs, flags or id */       \
	X(C_HALF_OPEN_FULL, "ike.rx.half_open_full")                                               \
	X(C_COOKIE_SENT, "ike.cookie.sent")                                                        \
	X(C_COOKIE_BAD, "ike.cookie.bad")                                                          \
	X(C_WORK_FULL, "ike.rx.work_full") /* too many key exchanges under way */                  \
	X(C_PUZZLE_SENT, "ike.puzzle.sent")                                                        \
	X(C_PUZZLE_SOLVED, "ike.puzzle.solved")                                                    \
	X(C_PUZZLE_BAD, "ike.puzzle.bad") /* not four different keys, or not enough zero bits */   \
	X(C_PUZZLE_SPENT, "ike.puzzle.spent") /* a solution once more, or too late */              \
	X(C_PUZZLE_UNSOLVED, "ike.puzzle.unsolved") /* a cookie without one, and no luck */        \
	X(C_PUZZLE_REFUSED, "ike.puzzle.refused") /* harder than puzzle_solve allows us */         \
	X(C_ADMIT_LOT, "ike.admit.lot") /* a cookie without a solution, served all the same */     \
	X(C_ADMIT_PREFIX, "ike.admit.prefix") /* asked for more because of its prefix */           \
	X(C_ADMIT_EVICTED, "ike.admit.evicted") /* made way for who had shown more */              \
	X(C_LOAD_RAISED, "ike.load.raised")                                                        \
	X(C_LOAD_LOWERED, "ike.load.lowered")                                                      \
	X(C_NO_PEER, "ike.rx.no_peer")                                                             \
	X(C_SILENT, "ike.rx.silent") /* IKE_SA_INIT at a site, which answers nobody */             \
	X(C_PROOF_WRONG, "ike.rx.proof_wrong") /* SHORTCUT_PROOF of nobody that may call */        \
	X(C_PROOF_REPLAYED, "ike.rx.proof_replayed") /* used already, or our own */                \
	X(C_SHUTTING_DOWN, "ike.rx.shutting_down")                                                 \
	X(C_STRAY_LIMITED, "ike.rx.stray_limited") /* an unauthenticated answer not given */       \
	/* dropped at an SA */                                                                     \
	X(C_WRONG_SPI, "ike.rx.wrong_spi") /* ours is right, the peer's is not */                  \
	X(C_OLD_REQUEST, "ike.rx.old_request")                                                     \
	X(C_FUTURE_REQUEST, "ike.rx.future_request")                                               \
	X(C_REPEATED_REQUEST, "ike.rx.repeated_request") /* answered again from the cache */       \
	X(C_REPEAT_LIMITED, "ike.rx.repeat_limited") /* not again so soon */                       \
	X(C_FORGED_REPEAT, "ike.rx.forged_repeat") /* a used message id with other content */      \
	X(C_BUSY, "ike.rx.busy") /* a job is outstanding; the peer will send it again */           \
	X(C_STRAY_RESPONSE, "ike.rx.stray_response")                                               \
	X(C_UNEXPECTED, "ike.rx.unexpected") /* no row of the exchange table takes it */           \
	X(C_UNPROTECTED, "ike.rx.unprotected") /* clear where it has to be encrypted */            \
	X(C_INTEGRITY, "ike.rx.integrity") /* checksum of SK wrong */                              \
	X(C_JUNK_LIMITED, "ike.rx.junk_limited") /* unread: too many at this SA failed that */     \
	X(C_AUTH_UNSOLVED, "ike.rx.auth_unsolved") /* IKE_AUTH without its puzzle's solution */    \
	X(C_AUTH_WORK_FULL, "ike.rx.auth_work_full") /* too many verifications under way */        \
	X(C_PAYLOADS, "ike.rx.payloads") /* authentic, but a required payload is missing */        \
	X(C_CRITICAL, "ike.rx.unknown_critical")                                                   \
	X(C_HINT, "ike.rx.unauthenticated_error") /* an error notify nothing vouches for */        \
	/* fragments (RFC 7383) */                                                                 \
	X(C_FRAGMENTS, "ike.rx.fragments") /* authentic and new */                                 \
	X(C_REASSEMBLED, "ike.rx.fragment_messages") /* messages they made */                      \
	X(C_FRAGMENT_UNEXPECTED, "ike.rx.fragment_unexpected") /* nobody agreed to any */          \
	X(C_FRAGMENT_REPEATED, "ike.rx.fragment_repeated")                                         \
	X(C_FRAGMENT_TOTAL, "ike.rx.fragment_total") /* of a set cut larger than the newest */     \
	X(C_FRAGMENT_RESTARTED, "ike.rx.fragment_restarted") /* a set cut smaller came */          \
	X(C_FRAGMENT_LIMIT, "ike.rx.fragment_limit") /* too many, or too much in them */           \
	X(C_FRAGMENT_TIMEOUT, "ike.rx.fragment_timeout") /* messages that stayed incomplete */     \
	X(C_FRAGMENT_EVICTED, "ike.rx.fragment_evicted") /* the same, for newer ones' sake */      \
	/* negotiation */                                                                          \
	X(C_NO_PROPOSAL, "ike.refused.proposal")                                                   \
	X(C_INVALID_KE, "ike.refused.key_exchange")                                                \
	X(C_AUTH_FAILED, "ike.refused.authentication")                                             \
	X(C_ID_UNKNOWN, "ike.refused.identity")                                                    \
	X(C_PPK_REFUSED, "ike.refused.ppk") /* post-quantum pre-shared key: none, or another */    \
	X(C_CHILDLESS, "ike.refused.childless") /* an IKE SA without a child, or not without */    \
	X(C_CERT_REFUSED, "ike.refused.certificate")                                               \
	X(C_HASH_URL, "ike.rx.hash_and_url") /* a certificate that is somewhere else */            \
	X(C_TS_REFUSED, "ike.refused.selectors")                                                   \
	X(C_CONFLICT, "ike.conflicts") /* a prefix that another identity has up */                 \
	X(C_CP_IGNORED, "ike.cp.ignored") /* a CP that does not belong there, or a value of one */ \
	X(C_CP_REQUIRED, "ike.refused.cp_required") /* it should have asked for an address */      \
	X(C_POOL_EXHAUSTED, "ike.refused.pool_exhausted") /* each family */                        \
	X(C_LEASES_MAX, "ike.refused.leases_max")                                                  \
	X(C_NOT_STORED, "ike.refused.not_stored") /* no address, since the store failed */         \
	X(C_INNER_REFUSED, "ike.refused.inner_address") /* that a gateway gave, or none */         \
	X(C_LEASE_GIVEN, "ike.lease.given") /* new or changed ones */                              \
	X(C_LEASE_EXPIRED, "ike.lease.expired") /* ended, so that others could have it */          \
	X(C_LEASE_SKIPPED, "ike.lease.skipped") /* prefixes that others have up in a pool */       \
	X(C_LEASE_UNREAD, "ike.lease.unread") /* who asked waited for what the store has */        \
	X(C_LEASE_UNFIT, "ike.lease.unfit") /* stored ones that fit no pool */                     \
	X(C_STORE_FAILED, "ike.store.failed")                                                      \
	X(C_PEER_REFUSED, "ike.refused.by_peer")                                                   \
	X(C_NO_CHILD_SA, "ike.refused.no_additional_sas")                                          \
	X(C_NOT_NOW,                                                                               \
	  "ike.refused.temporary") /* TEMPORARY_FAILURE: an exchange of ours is in its way */      \
	X(C_NO_SUCH_CHILD, "ike.refused.child_not_found")                                          \
	X(C_TEMPORARY, "ike.refused.by_peer_temporary")                                            \
	X(C_CHILD_NOT_FOUND, "ike.refused.by_peer_child_not_found")                                \
	X(C_OTHER_GROUP, "ike.other_group") /* INVALID_KE_PAYLOAD followed in CREATE_CHILD_SA */   \
	X(C_MOVED, "ike.moved") /* an SA has other addresses, its own or the peer's */             \
	X(C_MOVE_UNASKED, "ike.move.unasked") /* about moving, of a peer that does not */          \
	X(C_MOVE_MALFORMED, "ike.move.malformed") /* notifies of wrong lengths, ignored */         \
	X(C_MOVE_UNACCEPTABLE, "ike.move.unacceptable") /* addresses that cannot be, or may not */ \
	X(C_MOVE_TRANSLATED, "ike.move.translated") /* by a NAT that must not be there */          \
	X(C_MOVE_LIMITED, "ike.move.limited") /* too many in a short time */                       \
	X(C_MOVE_ADDRESSES, "ike.move.addresses") /* of a peer beyond those that we remember */    \
	X(C_MOVE_NOT_THERE, "ike.move.not_there") /* nobody answers where the peer moved to */     \
	X(C_MOVE_COOKIE, "ike.move.cookie2") /* another one than we sent came back */              \
	X(C_MOVE_REFUSED, "ike.move.by_peer_refused")                                              \
	X(C_MOVE_TRIED, "ike.move.tried") /* requests sent to another pair of addresses */         \
	/* sent on to another gateway (RFC 5685): we, and whom we send */                          \
	X(C_REDIRECTED, "ike.redirect.followed")                                                   \
	X(C_REDIRECT_UNWANTED, "ike.redirect.unwanted") /* redirect = no */                        \
	X(C_REDIRECT_UNASKED, "ike.redirect.unasked") /* we did not say that we can be sent on */  \
	X(C_REDIRECT_MALFORMED, "ike.redirect.malformed")                                          \
	X(C_REDIRECT_FORGED, "ike.redirect.forged") /* without the nonce of our request */         \
	X(C_REDIRECT_LOOP, "ike.redirect.loop") /* too often in a short time */                    \
	X(C_REDIRECT_HELD, "ike.redirect.held") /* so soon after that */                           \
	X(C_REDIRECT_FAILED, "ike.redirect.failed") /* it led to nobody who serves us */           \
	X(C_SENT_ON, "ike.redirect.sent")                                                          \
	X(C_REDIRECT_UNSUPPORTED, "ike.redirect.unsupported") /* it cannot be sent on */           \
	X(C_REDIRECT_PING_PONG, "ike.redirect.ping_pong") /* it comes from there, or from us */    \
	X(C_NOT_LEFT, "ike.redirect.not_left") /* in time: ended by us */                          \
	/* path MTU (RFC 8899) */                                                                  \
	X(C_MTU_SEARCHES, "ike.mtu.searches")                                                      \
	X(C_MTU_PROBES, "ike.mtu.probes")                                                          \
	X(C_MTU_LOST, "ike.mtu.probes_lost")                                                       \
	X(C_MTU_NO_PLACE, "ike.mtu.no_place") /* too many searches at once */                      \
	X(C_MTU_FALLBACK, "ike.mtu.fallback") /* made small for a peer that takes no fragments */  \
	X(C_UNREACHABLE, "ike.unreachable")                                                        \
	X(C_SILENT_PEER, "ike.silent") /* traffic without an answer, told by the data plane */     \
	X(C_CEASED_PEER,                                                                           \
	  "ike.ceased") /* traffic of a peer that we called has stopped, the same */               \
	X(C_HURRY_LIMITED, "ike.hurry_limited") /* not asked, there are so many already */         \
	X(C_SUSPECT, "ike.suspect") /* and none to us either */                                    \
	X(C_ALIVE, "ike.alive_again") /* it did answer */                                          \
	X(C_ATTACHED, "ike.attached") /* another of several hubs has our traffic */                \
	X(C_HINT_LIMITED, "ike.rx.hint_limited") /* not even read, or no reason to ask again */    \
	X(C_QCD_SENT, "ike.qcd.sent") /* tokens for SAs that we do not know */                     \
	X(C_QCD_LIMITED, "ike.qcd.limited") /* not given, there were so many */                    \
	X(C_QCD_ACCEPTED, "ike.qcd.accepted") /* SAs ended by their token */                       \
	X(C_QCD_WRONG, "ike.qcd.wrong")                                                            \
	X(C_QCD_MALFORMED, "ike.qcd.malformed") /* given to us too short or too long to be kept */ \
	X(C_INVALID_SPI, "ike.rx.invalid_spi") /* a peer does not know a child of ours */          \
	X(C_INVALID_SPI_SENT, "ike.tx.invalid_spi")                                                \
	X(C_DEAD, "ike.dead")                                                                      \
	/* words of upper modules */                                                               \
	X(C_CAPABILITIES_MALFORMED, "ike.word.capabilities_malformed")                             \
	X(C_WORD_MALFORMED, "ike.word.malformed") /* not one notify of a known kind */             \
	X(C_WORD_UNANSWERED, "ike.word.unanswered") /* by our upper modules, for too long */       \
	X(C_WORD_REFUSED, "ike.word.refused") /* answered with an error */                         \
	X(C_WORD_ANSWER_MALFORMED, "ike.word.answer_malformed")                                    \
	/* host */                                                                                 \
	X(C_UNKNOWN_JOB, "ike.host.unknown_job")                                                   \
	X(C_UNKNOWN_RESULT, "ike.host.unknown_result")                                             \
	X(C_DATAPLANE_FAILED, "ike.host.dataplane_failed")                                         \
	X(C_JOB_FAILED, "ike.host.job_failed")                                                     \
	X(C_NO_MEMORY, "ike.no_memory")                                                            \
	X(C_BUG, "ike.bug")                                                                        \
	X(C_COMPARED,                                                                              \
	  "ike.peers_compared") /* sections and proposals a request was held against */            \
	X(C_SA_UP, "ike.sa.established")                                                           \
	X(C_CHILD_UP, "ike.child.established")                                                     \
	X(C_SA_REKEYED, "ike.sa.rekeyed")                                                          \
	X(C_CHILD_REKEYED, "ike.child.rekeyed")                                                    \
	X(C_SA_EXPIRED,                                                                            \
	  "ike.sa.expired") /* at a hard limit: what should have replaced it did not */            \
	X(C_CHILD_EXPIRED, "ike.child.expired")                                                    \
	X(C_IDLE, "ike.sa.idle") /* ended without traffic that counts */                           \
	X(C_PARTNER_CARRIES, "ike.partner.carries") /* ESP gets through to a partner */            \
	X(C_PARTNER_PATH, "ike.partner.path") /* or does not, though IKE does */                   \
	X(C_PARTNER_OVER, "ike.partner.over")

enum ike_counter {
#define X(id, name) id,
	IKE_COUNTER_TABLE(X)
#undef X
		IKE_COUNTERS
};
