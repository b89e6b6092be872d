BEGIN TRANSACTION;
CREATE TABLE endings (
        run_id TEXT NOT NULL PRIMARY KEY REFERENCES runs (id),
        status TEXT NOT NULL,
        finished_at TEXT NOT NULL,
        reason TEXT NOT NULL,
        flags JSON
    );
INSERT INTO "endings" VALUES('old-1','done','2026-03-01T12:05:00+00:00','','["throttled"]');
CREATE TABLE gpubox_schema (
    version INTEGER NOT NULL,
    applied_at TEXT NOT NULL,
    tool_version TEXT NOT NULL,
    PRIMARY KEY (version)
);
INSERT INTO "gpubox_schema" VALUES(1,'2026-03-01T12:00:00+00:00','0.1.0');
CREATE TABLE runs (
        id TEXT NOT NULL PRIMARY KEY,
        batch TEXT NOT NULL,
        started_at TEXT NOT NULL,
        tool_version TEXT NOT NULL,
        endpoint TEXT NOT NULL,
        workload TEXT NOT NULL,
        workload_fields JSON,
        profile TEXT,
        profile_hash TEXT,
        profile_document JSON,
        argv JSON,
        engine JSON,
        model JSON,
        host JSON,
        flags JSON
    );
INSERT INTO "runs" VALUES('old-1','batch-1','2026-03-01T12:00:00+00:00','0.1.0','http://127.0.0.1:8000','pp2048+tg128','{"name": "pp2048+tg128", "n_prompt": 2048, "n_gen": 128, "seed": 1, "min_reps": 5, "max_reps": 15, "target": 0.01}','glm','0123abcd','{"server": {"ctx_size": 131072, "cache_type_k": "q8_0"}, "gpus": "all"}','["llama-server", "-c", "131072"]','{"name": "ik_llama", "build": "29a54f4", "version": "4100"}','{"path": "/srv/models/glm.gguf", "size": 158000000000, "sha256": "abababababababababababababababababababababababababababababababab"}','{"hostname": "box1", "gpus": ["RTX PRO 6000", "RTX PRO 6000"], "driver": "580.95"}','["shared-box"]');
INSERT INTO "runs" VALUES('old-2','batch-1','2026-03-01T12:00:00+00:00','0.1.0','http://127.0.0.1:8000','pp2048+tg128','{"name": "pp2048+tg128", "n_prompt": 2048, "n_gen": 128, "seed": 1, "min_reps": 5, "max_reps": 15, "target": 0.01}',NULL,'0123abcd',NULL,'["llama-server", "-c", "131072"]','{"name": "ik_llama", "build": "29a54f4", "version": "4100"}','{"path": "/srv/models/glm.gguf", "size": 158000000000, "sha256": "abababababababababababababababababababababababababababababababab"}','{"hostname": "box1", "gpus": ["RTX PRO 6000", "RTX PRO 6000"], "driver": "580.95"}','["shared-box"]');
CREATE TABLE samples (
        run_id TEXT NOT NULL REFERENCES runs (id),
        position INTEGER NOT NULL,
        kind TEXT NOT NULL,
        started_at TEXT NOT NULL,
        sent_n BIGINT NOT NULL,
        requested_n BIGINT NOT NULL,
        delivered_n BIGINT NOT NULL,
        prompt_n BIGINT,
        prompt_ms DOUBLE PRECISION,
        predicted_n BIGINT,
        predicted_ms DOUBLE PRECISION,
        predicted_steps BIGINT,
        cached_n BIGINT,
        draft_n BIGINT,
        draft_n_accepted BIGINT,
        ttft_ms DOUBLE PRECISION,
        e2e_ms DOUBLE PRECISION NOT NULL,
        rtt_ms DOUBLE PRECISION,
        answer_sha256 TEXT NOT NULL,
        faults JSON,
        flags JSON,
        arrivals_ms JSON,
        extra JSON,
        PRIMARY KEY (run_id, position)
    );
INSERT INTO "samples" VALUES('old-1',0,'warmup','2026-03-01T12:00:00+00:00',2048,128,128,2048,5120.0,128,6350.0,127,0,100,50,5130.0,11482.0,0.25,'cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd',NULL,NULL,'[5130.0, 5180.1, 11480.0]','{"slot": 0, "power_w": [310.5, 322.25]}');
INSERT INTO "samples" VALUES('old-1',1,'measured','2026-03-01T12:01:00+00:00',2048,128,128,2048,5120.0,128,6350.0,127,0,100,50,5130.0,11482.0,0.25,'cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd',NULL,NULL,'[5130.0, 5180.1, 11480.0]','{"slot": 0, "power_w": [310.5, 322.25]}');
INSERT INTO "samples" VALUES('old-1',2,'measured','2026-03-01T12:02:00+00:00',2048,128,128,2048,5120.0,128,6350.0,127,0,100,50,5130.0,11482.0,0.25,'cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd','["cached"]',NULL,'[5130.0, 5180.1, 11480.0]','{"slot": 0, "power_w": [310.5, 322.25]}');
CREATE INDEX runs_by_profile ON runs (profile, workload, id);
CREATE INDEX runs_by_batch ON runs (batch);
COMMIT;
